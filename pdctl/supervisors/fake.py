"""Nodes in memory behind the Supervisor protocol, with the real ones' rules and with faults on command.

For tests of the floors above: every crash point of an executor, without processes. A `FakeNode` outlives controllers;
a `FakeSupervisor` is one controller's view of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum

from pdctl.errors import ConnectionLost, EpochRefused, InstanceError, Unreachable
from pdctl.model.observed import NodeView
from pdctl.model.unit import ExitEvidence, StopReport, UnitSpec, UnitState, UnitStatus
from pdctl.supervisors.ports import LogLine

_ALIVE = (UnitState.RUNNING, UnitState.STOPPING)


class Fault(StrEnum):
    """What happens to one call."""

    UNREACHABLE = "unreachable"  # no connection: nothing was asked
    LOST_BEFORE = "lost_before"  # the connection goes before the effect
    LOST_AFTER = "lost_after"  # the effect happens, the answer is lost
    SLOW = "slow"  # the answer takes `FaultPlan.slow_s`


@dataclass(slots=True)
class FaultPlan:
    """Which calls go wrong, counted over all nodes that share the plan: call number (from 0) -> fault.

    `calls` lists what was asked, as "node action subject": its length after a clean run is the number of crash points.
    """

    at: dict[int, Fault] = field(default_factory=dict)
    slow_s: float = 5.0
    calls: list[str] = field(default_factory=list)

    def next(self, call: str) -> Fault | None:
        self.calls.append(call)
        return self.at.get(len(self.calls) - 1)


@dataclass(slots=True)
class FakeNode:
    """One node: its ledger, epoch and units of every cluster. `now` is the node's clock.

    `ends_at_once` maps instance names to how they end right after a start; `missing` are paths that are not there;
    `taken` are ports with their owners.
    """

    name: str
    faults: FaultPlan = field(default_factory=FaultPlan)
    now: Callable[[], float] = lambda: 0.0
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    boot: int = 1
    generation: int = 0
    epoch: int = 0
    units: dict[str, UnitStatus] = field(default_factory=dict)
    logs: dict[str, list[str]] = field(default_factory=dict)
    ends_at_once: dict[str, ExitEvidence] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    taken: dict[int, str] = field(default_factory=dict)
    survivors: dict[str, tuple[str, ...]] = field(default_factory=dict)
    next_pid: int = 1000

    def end(self, unit: str, evidence: ExitEvidence) -> None:
        """A unit ends."""
        well = evidence.requested or (evidence.status == 0 and evidence.signal is None)
        state = UnitState.EXITED if well else UnitState.FAILED
        self.units[unit] = replace(self.units[unit], state=state, pid=None, exit=evidence)

    def reboot(self) -> None:
        """Every process is gone, every record stays."""
        self.boot += 1
        for name, unit in self.units.items():
            if unit.state in _ALIVE:
                self.end(name, ExitEvidence(None, None, self.now(), False, reason="gone with a reboot"))

    def admit(self, epoch: int) -> None:
        """Raises EpochRefused for an operator who was overtaken."""
        if epoch < self.epoch:
            raise EpochRefused(
                self.name, f"it has seen lease epoch {self.epoch}, ours is {epoch}", hint="another operator took over"
            )
        self.epoch = epoch

    def check_start(self, spec: UnitSpec) -> None:
        """The checks before a start. Raises InstanceError."""
        labels = spec.labels
        former = self.units.get(labels.unit)
        if former is not None and former.state in _ALIVE:
            raise InstanceError(labels.instance, f"generation {former.labels.generation} of it still lives")
        if former is not None and former.labels == labels:
            raise InstanceError(labels.instance, f"its generation {labels.generation} has already run")
        for path in spec.paths:
            if path in self.missing:
                raise InstanceError(labels.instance, f"missing on the node: {path}")
        for name, unit in self.units.items():
            if unit.state in _ALIVE and set(unit.labels.gpus) & set(labels.gpus):
                raise InstanceError(labels.instance, f"its GPUs are held by {name}")
        for port in spec.ports:
            if port in self.taken:
                raise InstanceError(labels.instance, f"port {port} is taken by {self.taken[port]}")

    def launch(self, spec: UnitSpec) -> UnitStatus:
        """Start a process in memory."""
        labels = spec.labels
        self.generation = max(self.generation, labels.generation)
        self.next_pid += 1
        self.units[labels.unit] = UnitStatus(
            labels=labels,
            state=UnitState.RUNNING,
            pid=self.next_pid,
            incarnation=f"{self.boot}:{self.next_pid}",
            started_at=self.now(),
            endpoint=f"{spec.address}:{spec.ports[0]}" if spec.ports else "",
        )
        if labels.instance in self.ends_at_once:
            self.end(labels.unit, self.ends_at_once[labels.instance])
        return self.units[labels.unit]


class FakeSupervisor:
    """The Supervisor protocol over a FakeNode, for one cluster."""

    def __init__(self, node: FakeNode, cluster: str) -> None:
        self._node = node
        self._cluster = cluster

    @asynccontextmanager
    async def _call(self, action: str, subject: str = "") -> AsyncIterator[None]:
        node = self._node
        fault = node.faults.next(f"{node.name} {action} {subject}".rstrip())
        if fault is Fault.UNREACHABLE:
            raise Unreachable(node.name, "no route (fake)", hint="the test wants it so")
        if fault is Fault.LOST_BEFORE:
            raise ConnectionLost(node.name, f"lost before {action} (fake)")
        await node.sleep(node.faults.slow_s if fault is Fault.SLOW else 0)
        yield
        if fault is Fault.LOST_AFTER:
            raise ConnectionLost(node.name, f"lost after {action} (fake)")

    async def inspect(self, *, claim: int | None = None) -> NodeView:
        async with self._call("inspect"):
            node = self._node
            if claim is not None:
                node.admit(claim)
            ours = {name: unit for name, unit in node.units.items() if unit.labels.cluster == self._cluster}
            foreign = (unit for name, unit in node.units.items() if name not in ours and unit.state in _ALIVE)
            others = tuple(unit.labels.unit for unit in foreign if unit.labels.gpus)
            view = NodeView(
                node=node.name,
                machine_id=f"machine-{node.name}",
                boot_id=f"boot-{node.boot}",
                generation=node.generation,
                ledger_whole=True,
                epoch=node.epoch,
                units=tuple(ours.values()),
                others=others,
            )
        return view

    async def take_generations(self, count: int, *, epoch: int) -> int:
        async with self._call("take", str(count)):
            self._node.admit(epoch)
            first = self._node.generation + 1
            self._node.generation += count
        return first

    async def start(self, spec: UnitSpec, *, epoch: int) -> UnitStatus:
        async with self._call("start", spec.labels.unit):
            self._node.admit(epoch)
            found = self._node.units.get(spec.labels.unit)
            if found is None or found.labels != spec.labels or found.state is not UnitState.RUNNING:
                self._node.check_start(spec)
                found = self._node.launch(spec)
        return found

    async def stop(self, unit: str, *, epoch: int, now: bool = False) -> StopReport:
        async with self._call("stop", unit):
            node = self._node
            node.admit(epoch)
            found = node.units.get(unit)
            survivors = node.survivors.get(unit, ()) if found is not None and found.state in _ALIVE else ()
            if found is not None and found.state in _ALIVE:
                if survivors:
                    node.units[unit] = replace(found, state=UnitState.STOPPING)
                else:
                    node.end(unit, ExitEvidence(None if now else 0, "SIGKILL" if now else None, node.now(), True, now))
        return StopReport(unit, existed=found is not None, gone=not survivors, forced=now, survivors=survivors)

    async def forget(self, units: Sequence[str], *, epoch: int) -> None:
        async with self._call("forget", ",".join(units)):
            self._node.admit(epoch)
            for unit in units:
                found = self._node.units.get(unit)
                if found is not None and found.state in _ALIVE:
                    raise InstanceError(unit, "it still lives", hint="stop it first")
                self._node.units.pop(unit, None)

    @asynccontextmanager
    async def logs(self, unit: str, *, lines: int, follow: bool) -> AsyncIterator[AsyncIterator[LogLine]]:
        """The kept lines; `follow` adds nothing, as nothing is written while a test looks."""
        async with self._call("logs", unit):
            kept = list(self._node.logs.get(unit, ()))
        yield _lines(unit, kept[-lines:] if lines else [])


async def _lines(unit: str, kept: Sequence[str]) -> AsyncIterator[LogLine]:
    for text in kept:
        yield LogLine(unit, text)
