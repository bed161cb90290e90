"""The nodes of a simulated cluster: what runs on them goes on whatever becomes of the controllers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace

from pdctl.errors import InstanceError
from pdctl.model.observed import NodeView
from pdctl.model.role import UnitKind
from pdctl.model.unit import ExitEvidence, StopReport, UnitSpec, UnitState, UnitStatus
from pdctl.supervisors.fake import FakeNode, FakeSupervisor
from pdctl.supervisors.ports import LogLine
from tests.crash.wire import Wire

ALIVE = (UnitState.RUNNING, UnitState.STOPPING)
LOAD_S = 1.0
STOP_S = 1.0


@dataclass(slots=True)
class History:
    """What controllers did to units, and what was wrong with it.

    `starts` are (node, spec) of what was really launched, `named` every unit that a controller wanted changed,
    `refusals` the starts that a node refused.
    """

    starts: list[tuple[str, UnitSpec]] = field(default_factory=list)
    named: set[str] = field(default_factory=set)
    refusals: list[str] = field(default_factory=list)
    wrongs: list[str] = field(default_factory=list)


def overlaps(node: FakeNode, spec: UnitSpec) -> list[str]:
    """Units that live on one of the GPUs that `spec` wants."""
    gpus = set(spec.labels.gpus)
    return [name for name, unit in node.units.items() if unit.state in ALIVE and gpus & set(unit.labels.gpus)]


def serves(unit: UnitStatus, now: float) -> bool:
    """Whether what was started has finished loading."""
    return unit.state is UnitState.RUNNING and unit.started_at is not None and now - unit.started_at >= LOAD_S


class WiredSupervisor:
    """The Supervisor protocol over one controller's wire. A stop takes its time, on the node's own account."""

    def __init__(
        self, node: FakeNode, cluster: str, wire: Wire, history: History, may_stop: Callable[[UnitStatus], str]
    ) -> None:
        """`may_stop` says in words why a unit should not be stopped yet; "" if it may."""
        self._node = node
        self._inner = FakeSupervisor(node, cluster)
        self._wire = wire
        self._history = history
        self._may_stop = may_stop

    async def inspect(self, *, claim: int | None = None) -> NodeView:
        async with self._wire.call(self._node.name, "inspect", mutates=False):
            return await self._inner.inspect(claim=claim)

    async def take_generations(self, count: int, *, epoch: int) -> int:
        async with self._wire.call(self._node.name, f"take {count}", mutates=count > 0):
            return await self._inner.take_generations(count, epoch=epoch)

    async def start(self, spec: UnitSpec, *, epoch: int) -> UnitStatus:
        async with self._wire.call(self._node.name, f"start {spec.labels.instance}", mutates=True):
            self._history.named.add(spec.labels.unit)
            before = self._node.units.get(spec.labels.unit)
            try:
                status = await self._inner.start(spec, epoch=epoch)
            except InstanceError as error:
                self._history.refusals.append(str(error))
                raise
            if before is None or before.labels != spec.labels:
                self._history.starts.append((self._node.name, spec))
                if len(overlaps(self._node, spec)) > 1:
                    self._history.wrongs.append(f"two units on the GPUs of {spec.labels.unit}")
        return status

    async def stop(self, unit: str, *, epoch: int, now: bool = False) -> StopReport:
        async with self._wire.call(self._node.name, f"stop {unit}", mutates=True):
            self._node.admit(epoch)
            self._history.named.add(unit)
            found = self._node.units.get(unit)
            ending = asyncio.create_task(self._end(found)) if found is not None and found.state in ALIVE else None
        if ending is not None:
            await asyncio.shield(ending)
        return StopReport(unit, existed=found is not None, gone=True, forced=now)

    async def _end(self, found: UnitStatus) -> None:
        unit = found.labels.unit
        why_not = self._may_stop(found)
        if why_not:
            self._history.wrongs.append(f"{unit} was stopped while {why_not}")
        self._node.units[unit] = replace(found, state=UnitState.STOPPING)
        await asyncio.sleep(STOP_S)
        if self._node.units[unit].state is UnitState.STOPPING:
            self._node.end(unit, ExitEvidence(0, None, self._node.now(), requested=True))

    async def forget(self, units: Sequence[str], *, epoch: int) -> None:
        async with self._wire.call(self._node.name, f"forget {','.join(units)}", mutates=True):
            self._history.named.update(units)
            await self._inner.forget(units, epoch=epoch)

    def logs(self, unit: str, *, lines: int, follow: bool) -> AbstractAsyncContextManager[AsyncIterator[LogLine]]:
        return self._inner.logs(unit, lines=lines, follow=follow)


def engines(nodes: Sequence[FakeNode]) -> list[UnitStatus]:
    """Every engine that lives on any of the nodes."""
    return [
        unit
        for node in nodes
        for unit in node.units.values()
        if unit.labels.kind is UnitKind.ENGINE and unit.state in ALIVE
    ]
