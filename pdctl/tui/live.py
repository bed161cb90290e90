"""Every operation on a live cluster, through the very use case that the CLI has too.

One cluster is held open for the life of the terminal. What goes wrong with a node is said and never ends the screen.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

from pdctl.control.canaries import canary_rounds
from pdctl.control.execute import Interrupt
from pdctl.control.history import record
from pdctl.control.journal import Session
from pdctl.control.logs import logs, sources
from pdctl.control.opened import Opened, reread
from pdctl.control.proposal import Proposal
from pdctl.control.request import Request
from pdctl.control.status import ClusterStatus, status
from pdctl.errors import InventoryError, PdctlError, PlanRefused
from pdctl.health.report import Report
from pdctl.model.deployment import Deployment
from pdctl.model.events import Event
from pdctl.model.observed import Trouble
from pdctl.model.snapshot import PairFigures
from pdctl.supervisors.ports import LogLine
from pdctl.tui.live_feed import LiveFeed
from pdctl.tui.ports import Activity

__all__ = ["LiveFeed", "LiveOperations"]


class LiveOperations:
    """Every operation as the CLI does it. `read_only`: why nothing may be changed, "" where it may."""

    def __init__(
        self,
        opened: Opened,
        *,
        read_only: str = "",
        changed: Callable[[], None] = lambda: None,
        new_run: Callable[[], str],
    ) -> None:
        """`changed` is called after something may have changed; `new_run` names a run."""
        self._opened, self._read_only, self._changed, self._new_run = opened, read_only, changed, new_run
        self._busy = False

    @property
    def deployment(self) -> Deployment:
        return self._opened.deployment

    @property
    def read_only(self) -> str:
        return self._read_only

    async def propose(self, request: Request) -> Proposal:
        from pdctl.control.propose import propose  # with every planner there is: only once something is asked for

        await self._reread()
        with _said():
            return await propose(self._opened, request)

    async def carry_out(self, request: Request, sink: Callable[[Event], None], interrupt: Interrupt) -> int:
        from pdctl.control.carry_out import carry_out

        if self._read_only:
            raise PlanRefused(f"refused: {self._read_only}")
        if self._busy:
            raise PlanRefused("a run is under way in this terminal", hint="wait for its end")
        self._busy = True
        try:
            with _said():
                return await carry_out(self._opened, request, Session(sink, interrupt, self._new_run()))
        finally:
            self._busy = False
            with contextlib.suppress(PdctlError):
                await self._reread()
            self._changed()

    async def logs(self, names: Sequence[str], *, lines: int) -> AsyncIterator[tuple[str, LogLine | Trouble]]:
        cluster = self._opened.cluster
        with _said():
            async for heard in logs(cluster, sources(cluster, names), lines=lines, follow=True):
                yield heard

    async def activity(self, lines: int) -> Activity:
        try:
            with _said():
                found = await record(self._opened.cluster, lines)
        except PdctlError as error:
            return Activity((), error.message)
        return Activity(found.entries, holds=found.holds.at(time.time()))

    async def status(self) -> ClusterStatus:
        with _said():
            return await status(self._opened.cluster)

    async def health(self) -> Report:
        from pdctl.control.check import check  # all checks: a tenth of what the first paint takes

        with _said():
            return (await check(self._opened.cluster, records=self._opened.health)).report

    async def canary(self, rounds: int) -> tuple[PairFigures, ...]:
        with _said():
            return await canary_rounds(self._opened.cluster, rounds)

    async def _reread(self) -> None:
        """The inventory as it is now: a move changes it, and so may somebody's editor. Not while a run works on it."""
        if self._busy:
            return
        try:
            self._opened = await reread(self._opened)
        except InventoryError as error:
            problem = f": {error.problems[0]}" if error.problems else ""
            raise PlanRefused(
                f"the inventory cannot be read any more: {error.message}{problem}", hint=error.hint
            ) from None


@contextlib.contextmanager
def _said() -> Iterator[None]:
    """Errors of the system (a socket, a file) become errors that screens can say."""
    try:
        yield
    except OSError as error:
        raise PdctlError(error.strerror or str(error) or type(error).__name__) from error
