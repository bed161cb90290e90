"""What the handlers of one run share: the cluster's effects, and what the run has learned so far."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pdctl.control.applied_book import AppliedBook
from pdctl.control.clock import Clock
from pdctl.control.cluster import Cluster
from pdctl.control.hold_record import HoldBook
from pdctl.control.lease import Applied
from pdctl.control.member_book import MemberBook
from pdctl.control.ports import Member
from pdctl.engines.engine import running_launch
from pdctl.errors import InstanceError
from pdctl.model.deployment import Deployment, Instance
from pdctl.model.hold import Hold
from pdctl.model.launch import FabricFacts, Launch
from pdctl.model.observed import NodeView, Observed
from pdctl.model.role import Role
from pdctl.model.unit import UnitState, UnitStatus
from pdctl.plan.steps import ROUTER, Step

if TYPE_CHECKING:
    from pdctl.control.steps.in_flight import InFlight

Progress = Callable[[Step, str], None]


async def _no_lease(record: tuple[Hold, ...] | Applied) -> None:
    raise InstanceError("records", "are not written without a lease")


class Generations:
    """Gives out the generations of one run's starts, counting on from what each node's ledger said.

    A start writes its generation into the node's ledger before anything runs, and nobody but the holder of the lease
    starts anything, so no exec is needed to reserve one. A ledger that cannot be counted on from is mended first.
    """

    def __init__(self, cluster: Cluster, views: Mapping[str, NodeView], epoch: int) -> None:
        self._cluster = cluster
        self._last = {node: view.generation for node, view in views.items() if view.ledger_whole}
        self._epoch = epoch
        self._turns = {node: asyncio.Lock() for node in cluster.deployment.nodes}

    async def next(self, node: str) -> int:
        """A generation that was never used on `node`. Raises NodeError's kinds."""
        return await self.common((node,))

    async def common(self, nodes: Sequence[str]) -> int:
        """One generation for all parts of an instance: the highest of the nodes' next ones; the others skip to it."""
        for node in nodes:
            async with self._turns[node]:
                if node not in self._last:
                    self._last[node] = await self._mended(node)
        highest = max(self._last[node] for node in nodes) + 1
        self._last.update(dict.fromkeys(nodes, highest))
        return highest

    async def _mended(self, node: str) -> int:
        return await self._cluster.engines[node].take_generations(1, epoch=self._epoch)


class ReadyBoard:
    """Instances that answer `/health`, so that a canary can find the first partner that is ready."""

    def __init__(self) -> None:
        self._ready: dict[str, Launch] = {}
        self._hopeless: set[str] = set()
        self._changed = asyncio.Condition()

    async def ready(self, launch: Launch) -> None:
        async with self._changed:
            self._ready[launch.instance.name] = launch
            self._changed.notify_all()

    async def hopeless(self, instance: str) -> None:
        """This instance will not get ready in this run."""
        async with self._changed:
            self._hopeless.add(instance)
            self._changed.notify_all()

    async def ready_of(self, role: Role) -> tuple[Launch, ...]:
        """All that are ready now, of one role."""
        async with self._changed:
            return tuple(launch for launch in self._ready.values() if launch.instance.role is role)

    async def partner(self, role: Role, candidates: frozenset[str], tried: frozenset[str]) -> Launch | None:
        """A ready instance of `role` that was not tried; None when all `candidates` were tried or are hopeless."""
        async with self._changed:
            while True:
                for launch in self._ready.values():
                    if launch.instance.role is role and launch.instance.name not in tried:
                        return launch
                if candidates <= (tried | self._hopeless):
                    return None
                await self._changed.wait()


@dataclass(slots=True)
class RunContext:
    """One run's shared knowledge. `launches` holds what runs or was started, by instance name.

    `stopped`: whose stop this run has begun. `fenced`: members as they were when this run took them off the list.
    `at_fence`: what they had in flight then. `fabric`: what checked nodes tell their engines, by node; empty where
    nodes were not checked. `interrupted`: whether the operator has asked to stop, for a step that waits within it.
    """

    cluster: Cluster
    observed: Observed
    epoch: int
    secrets: Mapping[str, str]
    members: MemberBook
    generations: Generations
    progress: Progress
    launches: dict[str, Launch] = field(default_factory=dict)
    fabric: Mapping[str, FabricFacts] = field(default_factory=dict)
    board: ReadyBoard = field(default_factory=ReadyBoard)
    starting: dict[str, asyncio.Lock] = field(default_factory=dict)
    stopped: set[str] = field(default_factory=set)
    fenced: dict[str, Member] = field(default_factory=dict)
    at_fence: dict[str, InFlight] = field(default_factory=dict)
    holds: HoldBook = field(default_factory=lambda: HoldBook((), _no_lease))
    interrupted: Callable[[], bool] = lambda: False
    applied: AppliedBook = field(default_factory=lambda: AppliedBook(None, _no_lease))

    @property
    def deployment(self) -> Deployment:
        return self.cluster.deployment

    @property
    def clock(self) -> Clock:
        return self.cluster.clock

    @property
    def router_runs(self) -> bool:
        """Whether a router ran when this run began and was not stopped by it."""
        unit = self.observed.unit(ROUTER)
        return unit is not None and unit.state is UnitState.RUNNING and ROUTER not in self.stopped

    def start_turn(self, node: str) -> asyncio.Lock:
        """Starts of one node happen in the order of their generations."""
        return self.starting.setdefault(node, asyncio.Lock())


def launch_of_running(deployment: Deployment, instance: Instance, observed: Observed) -> Launch | None:
    """The launch of an instance whose parts all run in its pool, as it was started; None where one does not."""
    for part in instance.parts:
        unit = observed.unit(part.name)
        if unit is None or unit.state is not UnitState.RUNNING or unit.labels.role != instance.role.value:
            return None
    leader = observed.unit(instance.leader.name)
    assert leader is not None
    return running_launch(deployment, instance, leader.labels.generation, int(leader.endpoint.rpartition(":")[2]))


def endpoint_of_running(unit: UnitStatus | None) -> tuple[str, int] | None:
    """(address, HTTP port) of a running engine, whatever the inventory now says of it."""
    if unit is None or unit.state is not UnitState.RUNNING or not unit.endpoint:
        return None
    address, _, port = unit.endpoint.rpartition(":")
    return address, int(port)
