"""A simulated cluster in memory that outlives its controllers, and the controllers that work on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pdctl.control.cluster import Cluster
from pdctl.control.execute import Interrupt
from pdctl.control.hold_record import HoldRecord
from pdctl.control.journal import Session
from pdctl.control.lease import Applied, Lease
from pdctl.control.opened import Opened
from pdctl.errors import LeaseHeld, PdctlError, PlanRefused
from pdctl.inventory.load import parse
from pdctl.inventory.place import place
from pdctl.model.deployment import Deployment
from pdctl.model.events import Event, StepFailed
from pdctl.model.hold import Hold
from pdctl.model.unit import UnitStatus
from pdctl.ssh.fake import FakeShell, FakeShells
from pdctl.ssh.ports import Shell
from pdctl.supervisors.fake import FakeNode
from tests.crash.engines import History, WiredSupervisor
from tests.crash.routing import Routing, WiredHttp, WiredMembership
from tests.crash.virtual_time import VirtualClock
from tests.crash.wire import Killed, Wire

INVENTORY = """\
version: 1
cluster: crash
model: {name: demo/model, path: /models/demo}
slo: {ttft: 1s, itl: 50ms, attainment: 0.95}
ssh: {user: ops}
engine: {kind: vllm, version: "0.33", supervisor: process, python: /opt/vllm/bin/python}
kv: {connector: moriio, mode: write}
router: {kind: vllm-router, node: n1, port: 30000, supervisor: process, python: /opt/router/bin/python}
pools:
  prefill: {role: prefill, parallel: {tp: 8}, min_instances: 1}
  decode: {role: decode, parallel: {tp: 8}, min_instances: 1}
nodes:
  n1: {host: 10.0.0.1, data_address: 10.1.0.1, gpu: mi300x, gpus: 8, nics: 8, pool: prefill}
  n2: {host: 10.0.0.2, data_address: 10.1.0.2, gpu: mi300x, gpus: 8, nics: 8, pool: prefill}
  n3: {host: 10.0.0.3, data_address: 10.1.0.3, gpu: mi300x, gpus: 8, nics: 8, pool: decode}
  n4: {host: 10.0.0.4, data_address: 10.1.0.4, gpu: mi300x, gpus: 8, nics: 8, pool: decode}
  n5: {host: 10.0.0.5, data_address: 10.1.0.5, gpu: mi300x, gpus: 8, nics: 8, pool: decode}
budgets: {ready: 60s, drain: 120s, settle: 1s, shutdown: 20s, stop: 30s}
checks: {gate: false}
"""
PARSED = parse(INVENTORY.encode(), Path("/inventories/crash.yaml"))
DEPLOYMENT = place(PARSED)

UseCase = Callable[[Opened, Session], Awaitable[int]]


class FakeLease:
    """A lease whose journal lies in the world."""

    def __init__(self, world: World, wire: Wire) -> None:
        self.epoch = 0
        self.applied = world.applied
        self.holds = HoldRecord(trouble=world.holds_trouble) if world.holds_trouble else HoldRecord(world.holds)
        self._world = world
        self._wire = wire
        self._lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def lost(self) -> asyncio.Future[str]:
        return self._lost

    async def journal(self, entry: Mapping[str, Any]) -> None:
        if self._lost.done():
            raise LeaseHeld("the lease was lost while this run worked")
        self._world.journal.append(entry)

    def lose(self) -> None:
        """The lease node has not heard from the holder for its timeout."""
        self._lost.set_result("no answer from the lease node")
        self._world.lease = None

    async def record(self, applied: Applied) -> None:
        async with self._wire.call(DEPLOYMENT.lease_node, "record", mutates=True):
            self._world.applied = applied

    async def record_holds(self, holds: Sequence[Hold]) -> None:
        slots = ",".join(hold.slot for hold in holds)
        async with self._wire.call(DEPLOYMENT.lease_node, f"holds {slots}", mutates=True):
            if self._world.lease is not self:  # the lease node takes nothing from who is no holder any more
                raise LeaseHeld("the lease was lost while this run worked")
            self._world.holds, self._world.holds_trouble = tuple(holds), ""


class WiredFile:
    """The InventoryFile protocol: the operators' file, written by a controller that can die at it."""

    def __init__(self, world: World, wire: Wire) -> None:
        self._world = world
        self._wire = wire

    async def read(self) -> bytes:
        return self._world.inventory.text.encode()

    async def replace(self, old_digest: str, text: str) -> str:
        async with self._wire.call("controller", "write the inventory", mutates=True):
            if self._world.inventory.digest != old_digest:
                raise PlanRefused("the inventory was changed by someone else since it was read")
            self._world.inventory = parse(text.encode(), PARSED.path)
        return self._world.inventory.digest


class World:
    """Five nodes (2P3D) with nothing on them. Make it inside a running loop, in `World.alive()`."""

    def __init__(self) -> None:
        now = asyncio.get_running_loop().time
        self.nodes = {name: FakeNode(name, now=now, sleep=asyncio.sleep) for name in DEPLOYMENT.nodes}
        self.routing = Routing(DEPLOYMENT, self.nodes)
        self.history = History()
        self.journal: list[Mapping[str, Any]] = []
        self.applied: Applied | None = None
        self.holds: tuple[Hold, ...] = ()
        self.holds_trouble = ""  # why their record cannot be read
        self.lease: FakeLease | None = None
        self.inventory = PARSED  # the operators' file

    @classmethod
    @asynccontextmanager
    async def alive(cls) -> AsyncIterator[World]:
        """A world whose registrar goes its rounds."""
        world = cls()
        rounds = asyncio.create_task(world.routing.rounds())
        try:
            yield world
        finally:
            rounds.cancel()
            await asyncio.wait({rounds})

    async def command(self, act: UseCase, wire: Wire | None = None) -> Result:
        """One command by one controller, from whichever machine. How it ended is in the result."""
        wire = wire or Wire()
        events: list[Event] = []
        session = Session(events.append, Interrupt(), "run")
        try:
            return Result(await act(self._opened(wire), session), wire, events)
        except Killed:
            return Result(None, wire, events)
        except PdctlError as error:
            return Result(error.exit_code, wire, events, error.message)

    def _opened(self, wire: Wire) -> Opened:
        @asynccontextmanager
        async def take(shell: Shell, root: str | None, cluster: str, command: str) -> AsyncIterator[Lease]:
            if self.lease is not None:
                raise LeaseHeld("somebody else is at it")
            lease = self.lease = FakeLease(self, wire)
            try:
                async with wire.call(DEPLOYMENT.lease_node, "take the lease", mutates=True):
                    self.nodes[DEPLOYMENT.lease_node].epoch += 1
                lease.epoch = self.nodes[DEPLOYMENT.lease_node].epoch
                yield lease
            finally:
                if self.lease is lease:
                    self.lease = None

        supervisors = {
            name: WiredSupervisor(node, DEPLOYMENT.cluster, wire, self.history, self._may_stop)
            for name, node in self.nodes.items()
        }
        shells = FakeShells({name: FakeShell(name) for name in self.nodes})
        cluster = Cluster(
            self.deployment,
            shells,
            shells.shell(DEPLOYMENT.lease_node),
            supervisors,
            supervisors[DEPLOYMENT.router.node],
            WiredHttp(self.routing, DEPLOYMENT),
            WiredMembership(self.routing, wire),
            VirtualClock(),
            take,
        )
        return Opened(cluster, self.inventory, WiredFile(self, wire))

    @property
    def deployment(self) -> Deployment:
        """What the operators' file says now."""
        return DEPLOYMENT if self.inventory is PARSED else place(self.inventory)

    def _may_stop(self, unit: UnitStatus) -> str:
        return "the router could still pick it" if unit.endpoint in self.routing.pickable() else ""


class Result:
    """How a command ended: `code` None if it was killed."""

    def __init__(self, code: int | None, wire: Wire, events: list[Event], trouble: str = "") -> None:
        self.code = code
        self.calls = wire.calls
        self.events = events
        self.trouble = trouble
        self.failures = [f"{event.step}: {event.cause}" for event in events if isinstance(event, StepFailed)]

    @property
    def mutations(self) -> list[str]:
        """What the command changed on nodes, but for the lease and the record of who applied what."""
        own = ("take the lease", "record")
        return [f"{call.node} {call.what}" for call in self.calls if call.mutates and call.what not in own]
