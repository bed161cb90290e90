"""What a sweep does to nodes: look which are free, bring a batch up, reach its engines, take it down."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pdctl.bench.sweeps.lane import lane_cluster
from pdctl.control.down import down
from pdctl.control.execute import Interrupt
from pdctl.control.journal import Session, Sink
from pdctl.control.observe import observe
from pdctl.control.opened import Opened, open_cluster
from pdctl.control.status import State, UnitView, status
from pdctl.control.up import UpOptions, up
from pdctl.errors import NodeError
from pdctl.model.role import UnitKind
from pdctl.model.unit import UnitState
from pdctl.ssh.forward import forwarded

_CONNECT_S = 5.0
_LIVES = (UnitState.RUNNING, UnitState.STOPPING, UnitState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Engines:
    """By pool, where its instance is reached from here; and why the others serve not."""

    urls: Mapping[str, str]
    missing: Mapping[str, str] = field(default_factory=dict)
    told: str = ""


@dataclass(frozen=True, slots=True)
class Occupied:
    """`busy`: by node, what keeps it from being free: engines that live there, or that it cannot be asked.
    `leftover`: nodes on which a batch of an earlier sweep lives, which was killed."""

    busy: Mapping[str, str]
    leftover: frozenset[str] = frozenset()


class SweepStage(Protocol):
    """Where batches are played. `inventory` is the file of a batch."""

    async def occupied(self, inventory: Path) -> Occupied:
        """What lives on the nodes of that inventory, which is the sweep's own and no batch's."""
        ...

    async def up(self, inventory: Path, interrupt: Interrupt) -> int:
        """The ordinary `up`. Returns its exit code."""
        ...

    def engines(self, inventory: Path) -> AbstractAsyncContextManager[Engines]:
        """The engines that serve, while the context lasts."""
        ...

    async def down(self, inventory: Path, interrupt: Interrupt) -> int:
        """The ordinary `down`. Returns its exit code."""
        ...


@dataclass(frozen=True, slots=True)
class ClusterSweepStage:
    """The real one. `sink`: the view of the events of an `up` or `down`, by cluster; `run`: the command's, for
    journals."""

    sink: Callable[[str], Sink]
    run: str
    skip_checks: bool = False

    async def occupied(self, inventory: Path) -> Occupied:
        async with open_cluster(inventory) as opened:
            observed = await observe(opened.cluster)
        busy = {node: f"it cannot be asked: {trouble.cause}" for node, trouble in observed.unreachable.items()}
        ours = {node: lane_cluster(opened.deployment.cluster, node) for node in opened.deployment.nodes}
        leftover: set[str] = set()
        for node, view in observed.nodes.items():
            living = [unit for unit in view.units if unit.state in _LIVES and unit.labels.kind is UnitKind.ENGINE]
            strangers = [name for name in view.others if name.split(".")[1:2] != [ours[node]]]
            if len(strangers) < len(view.others):
                leftover.add(node)
            names = [*(unit.labels.instance for unit in living), *strangers]
            if names:
                busy[node] = f"{', '.join(names)} live there"
        return Occupied(busy, frozenset(leftover))

    async def up(self, inventory: Path, interrupt: Interrupt) -> int:
        async with open_cluster(inventory) as opened:
            session = Session(self.sink(opened.deployment.cluster), interrupt, self.run)
            return await up(opened, UpOptions(adopt=True, force=True, skip_checks=self.skip_checks), session)

    @asynccontextmanager
    async def engines(self, inventory: Path) -> AsyncIterator[Engines]:
        async with open_cluster(inventory) as opened, contextlib.AsyncExitStack() as stack:
            seen = await status(opened.cluster)
            urls: dict[str, str] = {}
            missing: dict[str, str] = {}
            told = ""
            for view in seen.instances:
                if view.state is not State.SERVING or not view.endpoint:
                    missing[view.pool] = view.why or f"it is {view.state}"
                    continue
                urls[view.pool], way = await _reach(opened, view, stack)
                told = told or way
            yield Engines(urls, missing, told)

    async def down(self, inventory: Path, interrupt: Interrupt) -> int:
        async with open_cluster(inventory) as opened:
            return await down(opened, Session(self.sink(opened.deployment.cluster), interrupt, self.run))


async def _reach(opened: Opened, view: UnitView, stack: contextlib.AsyncExitStack) -> tuple[str, str]:
    """The engine's URL from here, directly or over its node's SSH connection; and what the operator should know."""
    host, _, port = view.endpoint.rpartition(":")
    direct = opened.deployment.nodes[view.node].ssh.engine_http == "direct"
    if direct or await _accepts(host, int(port)):
        return f"http://{view.endpoint}", ""
    try:
        local = await stack.enter_async_context(forwarded(opened.cluster.shells.shell(view.node), host, int(port)))
    except OSError as error:
        raise NodeError(view.node, f"{view.endpoint} is not reached: {error}") from error
    return f"http://127.0.0.1:{local}", (
        f"{view.endpoint} is not reached directly: the load goes through the SSH connection to {view.node}, and its "
        "time is part of what is measured"
    )


async def _accepts(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(_CONNECT_S):
            _, writer = await asyncio.open_connection(host, port)
    except OSError:  # a timeout is one
        return False
    writer.close()
    return True
