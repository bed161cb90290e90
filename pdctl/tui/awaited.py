"""A cluster that is still being made: the screens are there first, and the feed and the operations come when it is.

For the demo, whose nodes start while the terminal is already on the screen.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from pdctl.control.execute import Interrupt
from pdctl.control.proposal import Proposal
from pdctl.control.request import Request
from pdctl.control.status import ClusterStatus
from pdctl.errors import PdctlError, PlanRefused
from pdctl.health.report import Report
from pdctl.model.deployment import Deployment
from pdctl.model.events import Event
from pdctl.model.observed import Trouble
from pdctl.model.snapshot import PairFigures, Snapshot
from pdctl.supervisors.ports import LogLine
from pdctl.tui.ports import Activity, Feed, Operations, Transport


@dataclass(slots=True)
class Awaited:
    """What comes: `come` brings both, `fail` says that nothing will."""

    feed: Feed | None = None
    operations: Operations | None = None
    trouble: PdctlError | None = None
    here: asyncio.Event = field(default_factory=asyncio.Event)

    def come(self, feed: Feed, operations: Operations) -> None:
        self.feed, self.operations = feed, operations
        self.here.set()

    def fail(self, error: PdctlError) -> None:
        self.trouble = error
        self.here.set()

    async def wait(self) -> tuple[Feed, Operations]:
        """Both, once they are there. Raises the trouble."""
        await self.here.wait()
        return self._both()

    def now(self) -> tuple[Feed, Operations]:
        """Both. Raises PlanRefused while they are not there."""
        if not self.here.is_set():
            raise PlanRefused("the nodes are still being started", hint="wait a few seconds")
        return self._both()

    def _both(self) -> tuple[Feed, Operations]:
        if self.trouble is not None:
            raise self.trouble
        assert self.feed is not None
        assert self.operations is not None
        return self.feed, self.operations


class AwaitedFeed:
    """Nothing, then the feed that came."""

    def __init__(self, awaited: Awaited, interval_s: float) -> None:
        self._awaited, self._interval_s = awaited, interval_s

    @property
    def transport(self) -> Transport | None:
        feed = self._awaited.feed
        return feed.transport if feed is not None else None

    @property
    def interval_s(self) -> float:
        feed = self._awaited.feed
        return feed.interval_s if feed is not None else self._interval_s

    def set_interval(self, interval_s: float) -> None:
        self._interval_s = interval_s
        if self._awaited.feed is not None:
            self._awaited.feed.set_interval(interval_s)

    async def snapshots(self) -> AsyncIterator[Snapshot]:
        feed, _ = await self._awaited.wait()
        feed.set_interval(self._interval_s)
        async for snapshot in feed.snapshots():
            yield snapshot


class AwaitedOperations:
    """Refused, then the operations that came. `meanwhile` and `read_only` are what is known until then."""

    def __init__(self, awaited: Awaited, meanwhile: Deployment, *, read_only: str = "") -> None:
        self._awaited, self._meanwhile, self._read_only = awaited, meanwhile, read_only

    @property
    def deployment(self) -> Deployment:
        come = self._awaited.operations
        return self._meanwhile if come is None else come.deployment

    @property
    def read_only(self) -> str:
        come = self._awaited.operations
        return self._read_only if come is None else come.read_only

    async def propose(self, request: Request) -> Proposal:
        return await self._awaited.now()[1].propose(request)

    async def carry_out(self, request: Request, sink: Callable[[Event], None], interrupt: Interrupt) -> int:
        return await self._awaited.now()[1].carry_out(request, sink, interrupt)

    async def logs(self, names: Sequence[str], *, lines: int) -> AsyncIterator[tuple[str, LogLine | Trouble]]:
        async for item in self._awaited.now()[1].logs(names, lines=lines):
            yield item

    async def activity(self, lines: int) -> Activity:
        try:
            return await self._awaited.now()[1].activity(lines)
        except PdctlError as error:
            return Activity((), error.message)

    async def status(self) -> ClusterStatus:
        return await self._awaited.now()[1].status()

    async def health(self) -> Report:
        return await self._awaited.now()[1].health()

    async def canary(self, rounds: int) -> tuple[PairFigures, ...]:
        return await self._awaited.now()[1].canary(rounds)
