"""The world of the screens, faked: a feed that is fed by hand, operations that remember, and an app made of both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace

from pdctl.control.execute import Interrupt
from pdctl.control.proposal import Proposal
from pdctl.control.request import Request
from pdctl.control.status import ClusterStatus
from pdctl.errors import PdctlError
from pdctl.health.report import Report
from pdctl.model.deployment import Deployment
from pdctl.model.events import Event
from pdctl.model.observed import Trouble
from pdctl.model.snapshot import PairFigures, Snapshot
from pdctl.plan.steps import Plan
from pdctl.supervisors.ports import LogLine
from pdctl.tui.advising import Adviser
from pdctl.tui.app import PdctlApp
from pdctl.tui.ports import Activity, Transport
from pdctl.tui.settings import Settings
from tests.tui.fleet import START_S
from tests.unit.deployments import mori_1p1d

TAKEN_S = 5.0


class FakeFeed:
    """`await feed.push(snapshot)` and the app has it, once the screen was asked to show it."""

    def __init__(self, transport: Transport | None = None) -> None:
        self.transport = transport
        self.interval_s = 1.0
        self._queue: asyncio.Queue[Snapshot | PdctlError | None] = asyncio.Queue()

    def set_interval(self, interval_s: float) -> None:
        self.interval_s = interval_s

    async def push(self, snapshot: Snapshot) -> None:
        """One tick. Returns when the app has taken it."""
        await self._put(snapshot)

    async def fail(self, error: PdctlError) -> None:
        """The feed breaks with this."""
        await self._put(error)

    async def end(self) -> None:
        """Nothing more comes."""
        await self._put(None)

    async def _put(self, item: Snapshot | PdctlError | None) -> None:
        """An app that broke takes nothing, and says why when its test ends."""
        self._queue.put_nowait(item)
        async with asyncio.timeout(TAKEN_S):
            await self._queue.join()

    async def snapshots(self) -> AsyncIterator[Snapshot]:
        while True:
            item = await self._queue.get()
            try:
                if item is None:
                    return
                if isinstance(item, PdctlError):
                    raise item
                yield item
            finally:
                self._queue.task_done()


Doing = Callable[[Request, Callable[[Event], None], Interrupt], int]


@dataclass
class FakeOperations:
    """Remembers what was asked of it. `proposal` and `refusal` answer `propose`; `doing` is what `carry_out` does."""

    deployment: Deployment = field(default_factory=mori_1p1d)
    read_only: str = ""
    proposal: Proposal = field(default_factory=lambda: Proposal(Plan("move", (), ()), ("pdctl", "move")))
    refusal: PdctlError | None = None
    doing: Doing = lambda request, sink, interrupt: 0
    lines: Sequence[tuple[str, LogLine | Trouble]] = ()
    report: Report | None = None  # what `health` answers; None: all is well
    pairs: tuple[PairFigures, ...] = ()  # what `canary` answers
    journal: Activity = field(default_factory=lambda: Activity(()))
    asked: list[tuple[str, object]] = field(default_factory=list)
    hang: asyncio.Event | None = None  # every call waits for it

    async def _maybe_hang(self) -> None:
        if self.hang is not None:
            await self.hang.wait()

    async def propose(self, request: Request) -> Proposal:
        self.asked.append(("propose", request))
        await self._maybe_hang()
        if self.refusal is not None:
            raise self.refusal
        return self.proposal

    async def carry_out(self, request: Request, sink: Callable[[Event], None], interrupt: Interrupt) -> int:
        self.asked.append(("carry_out", request))
        await self._maybe_hang()
        return self.doing(request, sink, interrupt)

    async def logs(self, names: Sequence[str], *, lines: int) -> AsyncIterator[tuple[str, LogLine | Trouble]]:
        self.asked.append(("logs", tuple(names)))
        await self._maybe_hang()
        for item in self.lines:
            yield item

    async def activity(self, lines: int) -> Activity:
        self.asked.append(("activity", lines))
        await self._maybe_hang()
        return self.journal

    async def status(self) -> ClusterStatus:
        self.asked.append(("status", None))
        await self._maybe_hang()
        return ClusterStatus(self.deployment.cluster, "1P1D", True, "http://127.0.0.1:30000", (), (), (), ())

    async def health(self) -> Report:
        self.asked.append(("health", None))
        await self._maybe_hang()
        if self.refusal is not None:
            raise self.refusal
        return self.report if self.report is not None else Report((), (), tuple(self.deployment.nodes))

    async def canary(self, rounds: int) -> tuple[PairFigures, ...]:
        self.asked.append(("canary", rounds))
        await self._maybe_hang()
        if self.refusal is not None:
            raise self.refusal
        return self.pairs


STILL = Settings(timers=False)


def app_over(
    feed: FakeFeed,
    operations: FakeOperations | None = None,
    *,
    start: str = "pulse",
    settings: Settings = STILL,
    adviser: Adviser | None = None,
) -> PdctlApp:
    """An app that stands still between pushes, a second after the fleet's first snapshot."""
    settings = replace(settings, start=start)
    return PdctlApp(feed, operations or FakeOperations(), settings, adviser=adviser, wall=lambda: START_S + 1.0)
