"""Stop units, and believe it only when nothing of them is left."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from pdctl.control.steps.context import RunContext
from pdctl.errors import InstanceError
from pdctl.model.unit import StopReport, unit_name
from pdctl.plan.steps import ELSEWHERE, REGISTRAR, Step
from pdctl.supervisors.ports import Supervisor


class Stopper:
    """Stops engines, router and registrar. `now` skips the drain budget. `for_good`: nothing is started in their place,
    so that the list of members goes with the registrar."""

    def __init__(self, ctx: RunContext, *, now: bool = False, for_good: bool = False) -> None:
        self._ctx = ctx
        self._now = now
        self._for_good = for_good

    async def engine(self, step: Step) -> Mapping[str, Any]:
        """Stop every part of an instance, or the stray unit of that name. Raises InstanceError if some survives."""
        parts = self._parts(step)
        self._ctx.stopped.add(step.subject)
        reports = await asyncio.gather(
            *(self._one(self._ctx.cluster.engines[node], part) for part, node in parts.items())
        )
        return _detail(reports)

    async def routing(self, step: Step) -> Mapping[str, Any]:
        """Stop the router or the registrar. The router drains its streams at SIGTERM."""
        name, at, _ = step.subject.partition(ELSEWHERE)
        supervisor = self._ctx.cluster.routing_on(step.node)
        report = await self._one(supervisor, name, clears=name == REGISTRAR and not at)
        self._ctx.stopped.add(step.subject)
        return _detail([report])

    def _parts(self, step: Step) -> dict[str, str]:
        """Node by unit name: where each part was seen, else where it belongs."""
        observed = self._ctx.observed
        for instance in self._ctx.deployment.instances:
            if instance.name == step.subject:
                homes = {part.name: part.node for part in instance.parts}
                places = {name: observed.nodes_of(name) or (home,) for name, home in homes.items()}
                nodes = {name: homes[name] if homes[name] in on else on[0] for name, on in places.items()}
                return {name: node for name, node in nodes.items() if node in observed.nodes}
        return {step.subject: step.node}

    async def _one(self, supervisor: Supervisor, name: str, *, clears: bool = False) -> StopReport:
        unit = unit_name(self._ctx.deployment.cluster, name)
        report = await supervisor.stop(unit, epoch=self._ctx.epoch, now=self._now)
        if not report.gone:
            left = ", ".join(report.survivors) or "some process"
            raise InstanceError(
                name,
                f"SIGKILL did not end all of it: {left} survives",
                hint="a process in uninterruptible sleep needs a reboot of the node",
            )
        if clears and self._for_good:  # before its unit is forgotten: a `down` that is cut short here finds it again
            await self._ctx.cluster.membership.clear(epoch=self._ctx.epoch)
        await supervisor.forget([unit], epoch=self._ctx.epoch)
        return report


def _detail(reports: list[StopReport]) -> Mapping[str, Any]:
    return {
        "existed": any(report.existed for report in reports),
        "forced": any(report.forced for report in reports),
        "leftovers": sum(report.leftovers for report in reports),
    }
