"""Wait until an engine answers `/health`. Progress extends the wait, silence does not; an exit ends it at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pdctl.control.autopsy import autopsy
from pdctl.control.ports import NotAnswering
from pdctl.control.steps.context import RunContext
from pdctl.errors import InstanceError, NodeError
from pdctl.model.deployment import Instance
from pdctl.model.launch import Launch
from pdctl.model.unit import UnitState, UnitStatus
from pdctl.plan.steps import Step

PROBE_EVERY_S = 0.25
PROBE_AT_LEAST_EVERY_S = 1.0
PROGRESS_EVERY_S = 1.0
LOOK_EVERY_S = 1.0
LOOK_AT_LEAST_EVERY_S = 5.0


class ExitedEarly(InstanceError):
    """The engine ended before it could serve; carries its last log lines."""

    def __init__(self, unit: str, message: str, last_lines: tuple[str, ...], *, hint: str) -> None:
        super().__init__(unit, message, hint=hint)
        self.last_lines = last_lines


async def await_ready(ctx: RunContext, step: Step) -> Mapping[str, Any]:
    """Until the leader answers `/health` with 200. Raises ExitedEarly, or InstanceError when nothing moves any more."""
    instance = ctx.deployment.instance(step.subject)
    launch = ctx.launches[instance.name]
    clock, budget_s = ctx.clock, ctx.deployment.budgets.ready_s
    began = moved = looked = told = clock.monotonic()
    log_bytes = -1
    while True:
        if await answers_health(ctx, launch):
            await ctx.board.ready(launch)
            return {"waited_s": round(clock.monotonic() - began, 3)}
        pause_s = look_pause_s(clock.monotonic() - began, budget_s)
        if clock.monotonic() - looked >= pause_s:
            looked = clock.monotonic()
            seen = await _parts(ctx, instance, pause_s / 2)
            if seen is not None and seen != log_bytes:
                moved, log_bytes = clock.monotonic(), seen
        if clock.monotonic() - told >= PROGRESS_EVERY_S:
            told = clock.monotonic()
            ctx.progress(step, f"loading for {clock.monotonic() - began:.0f} s")
        if clock.monotonic() - moved > budget_s:
            raise InstanceError(
                instance.name,
                f"no answer on /health and no sign of progress for {budget_s:.0f} s",
                hint=f"look at `pdctl logs {instance.name}`; `budgets.ready` sets the limit",
            )
        await clock.sleep(probe_pause_s(clock.monotonic() - began))


def probe_pause_s(waited_s: float) -> float:
    """Seconds between two probes of `/health`: rarer the longer the load takes, never so rare that it counts beside it.

    A probe costs both ends of the SSH connection 1 ms of CPU (measured), and 32 engines that load are 32 of them.
    """
    return max(PROBE_EVERY_S, min(PROBE_AT_LEAST_EVERY_S, waited_s / 40))


def look_pause_s(waited_s: float, budget_s: float) -> float:
    """Seconds between two looks at the unit: a second at first, when most engines that end early do, then rarer.

    A look is an exec on the node (20 ms of its CPU, and some of ours), and a load takes minutes. Always often enough
    to see progress several times within the budget.
    """
    return max(LOOK_EVERY_S, min(LOOK_AT_LEAST_EVERY_S, waited_s / 2, budget_s / 4))


async def answers_health(ctx: RunContext, launch: Launch, timeout_s: float = 2.0) -> bool:
    """Whether the leader's `/health` says 200 now."""
    address, port = launch.endpoint
    try:
        answer = await ctx.cluster.http.request(
            launch.instance.leader.node, "GET", f"http://{address}:{port}/health", timeout_s=timeout_s
        )
    except NotAnswering:
        return False
    return answer.status == 200


async def _parts(ctx: RunContext, instance: Instance, max_age_s: float) -> int | None:
    """Bytes logged by all parts, as the sign of progress; None while a node cannot be asked. Raises ExitedEarly."""
    total = 0
    for part in instance.parts:
        try:
            view = await ctx.cluster.glance(part.node, max_age_s)
        except NodeError:
            return None
        unit = next((unit for unit in view.units if unit.labels.instance == part.name), None)
        if unit is None or unit.state in (UnitState.FAILED, UnitState.EXITED, UnitState.ABSENT):
            raise await _exited_early(ctx, part.node, part.name, unit)
        total += unit.log_bytes
    return total


async def _exited_early(ctx: RunContext, node: str, name: str, unit: UnitStatus | None) -> ExitedEarly:
    """The error for an engine that ended while it was awaited: its cause, the line that says most, the last lines."""
    hint = f"look at `pdctl logs {name}`"
    if unit is None or unit.exit is None:
        return ExitedEarly(name, "it is gone, and left no evidence", (), hint=hint)
    found = await autopsy(ctx.cluster.engines[node], unit, unit.exit, when="before it could serve")
    return ExitedEarly(name, found.why, found.last_lines, hint=hint)
