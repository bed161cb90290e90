"""Start an instance: a new generation on every node of it, new ports, then its units."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from pdctl.control.steps.context import RunContext
from pdctl.engines.engine import render
from pdctl.engines.relaunch import relaunch
from pdctl.errors import ConnectionLost, DeadlineExceeded, InstanceError, PdctlError, Unreachable
from pdctl.model.launch import Process
from pdctl.model.unit import Relaunch, Restart, UnitSpec, UnitState, UnitStatus
from pdctl.plan.steps import Step


async def start(ctx: RunContext, step: Step) -> Mapping[str, Any]:
    """Launch all parts of the instance. Raises InstanceError with the node's reason if one could not start."""
    instance = ctx.deployment.instance(step.subject)
    generation = await ctx.generations.common(instance.nodes)
    launch = render(ctx.deployment, instance, dict.fromkeys(instance.nodes, generation), ctx.fabric)
    again = relaunch(ctx.deployment, instance, ctx.fabric) if ctx.deployment.engine.persist else None
    units = await asyncio.gather(*(_start_part(ctx, process, again) for process in launch.processes))
    ctx.launches[instance.name] = launch
    return {
        "generation": launch.generation,
        "endpoint": f"{launch.endpoint[0]}:{launch.endpoint[1]}",
        "gpus": list(instance.leader.gpus),
        "pids": [unit.pid for unit in units],
    }


async def _start_part(ctx: RunContext, process: Process, again: Relaunch | None) -> UnitStatus:
    spec = UnitSpec(
        labels=process.labels,
        argv=process.argv,
        env=process.env,
        restart=Restart.NEVER,
        stop_s=ctx.deployment.budgets.stop_s,
        secret_env={name: ctx.secrets[name] for name in process.secrets},
        paths=process.paths,
        address=process.address,
        ports=process.ports,
        user=ctx.deployment.engine.user,
        relaunch=again,
    )
    supervisor = ctx.cluster.engines[process.node]
    async with ctx.start_turn(process.node):
        try:
            return await supervisor.start(spec, epoch=ctx.epoch)
        except (ConnectionLost, DeadlineExceeded) as error:
            return await _reconcile(ctx, process, error)


async def _reconcile(ctx: RunContext, process: Process, error: PdctlError) -> UnitStatus:
    """The start was sent and its answer lost: look what is, never start blindly again."""
    try:
        view = await ctx.cluster.look(process.node)
    except Unreachable as gone:
        raise ConnectionLost(
            process.node,
            f"the answer to the start of {process.labels.instance} was lost, and {process.node} cannot be asked: "
            f"{gone.cause}",
            hint="it may run: the next `pdctl up` adopts it, or starts it if it does not",
        ) from error
    for unit in view.units:
        if unit.labels == process.labels and unit.state is UnitState.RUNNING:
            return unit
    raise InstanceError(
        process.labels.instance,
        f"the answer to its start was lost, and it does not run ({error.message})",
        hint="run `pdctl up` again",
    ) from error
