"""Follow the inventory file and apply what changes in it: one change at a time, through the ordinary `up`.

Contents count once they have stayed the same for a moment, whichever way they came: written in place, by a temporary
file that is renamed, or by a checkout. What is not valid is shown, and changes nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pdctl.control.clock import Clock
from pdctl.control.execute import Interrupt
from pdctl.control.journal import Session
from pdctl.control.opened import Opened
from pdctl.control.up import UpOptions, up
from pdctl.errors import InventoryError, LeaseHeld, NodeError, PdctlError
from pdctl.model.keeper_events import ApplyRefused, ApplyWaits, InventoryChanged, InventoryRejected

POLL_S: Final = 1.0
SETTLE_S: Final = 2.0
"""Contents that stay the same for this long are meant."""
AGAIN_S: Final = (5.0, 15.0, 60.0)
"""Waits before what could not be done now is tried again; the last one stays."""
UNREACHABLE: Final = 4
LEASE_HELD: Final = 75

OpenCluster = Callable[[Path], AbstractAsyncContextManager[Opened]]
Apply = Callable[[Opened, UpOptions, Session], Awaitable[int]]


@dataclass(slots=True)
class SettledFile:
    """A file whose contents count once they have stayed the same for `settle_s`."""

    path: Path
    settle_s: float = SETTLE_S
    _seen: str = ""
    _since_s: float = 0.0

    def look(self, now_s: float) -> str | None:
        """The sha256 of its bytes, in hex; None while there is no file, or its contents may still change."""
        try:
            digest = hashlib.sha256(self.path.read_bytes()).hexdigest()
        except OSError:  # between the two halves of a checkout, for one
            self._seen = ""
            return None
        if digest != self._seen:
            self._seen, self._since_s = digest, now_s
        return digest if now_s - self._since_s >= self.settle_s else None


@dataclass(slots=True)
class Follower:
    """Applies an inventory file whenever it changes. `look` is to be called now and then; it returns when it has done
    what there was to do."""

    file: SettledFile
    options: UpOptions
    session: Session
    clock: Clock
    open_cluster: OpenCluster
    apply: Apply = up
    _done: str = ""  # the contents that need nothing more
    _told: str = ""  # the contents that were announced
    _tries: int = 0
    _not_before_s: float = field(default=0.0)
    _runs: int = 0

    async def look(self) -> None:
        """Apply the file if it is to be. Raises CancelledError only."""
        now_s = self.clock.monotonic()
        digest = self.file.look(now_s)
        if digest is None or digest == self._done:
            return
        if digest == self._told and now_s < self._not_before_s:
            return
        if digest != self._told:
            self._tries = 0
        await self._attempt(digest)

    async def _attempt(self, digest: str) -> None:
        path = self.file.path
        try:
            async with self.open_cluster(path) as opened:
                if opened.deployment.digest != digest:
                    return  # it changed just now
                if digest != self._told:
                    self.session.sink(InventoryChanged(str(path), digest))
                    self._told = digest
                self._runs += 1
                async with linked(self.session, f"{self.session.run}.{self._runs}") as session:
                    code = await self.apply(opened, self.options, session)
        except InventoryError as error:
            self._told = self._done = digest
            self.session.sink(InventoryRejected(str(path), digest, error.message, error.problems))
        except (LeaseHeld, NodeError) as error:
            self._again(error.message, error.hint)
        except PdctlError as error:
            self._done = digest
            self.session.sink(ApplyRefused(error.message, error.hint, error.exit_code))
        else:
            self._ended(digest, code)

    def _ended(self, digest: str, code: int) -> None:
        if self.session.interrupt.asked.is_set():
            return
        if code in (UNREACHABLE, LEASE_HELD):
            self._again("not all of the cluster could be reached" if code == UNREACHABLE else "the lease was lost", "")
            return
        self._done = digest
        if code:
            self.session.sink(ApplyRefused(f"`up` ended with {code}", "`pdctl plan` tells what is left", code))

    def _again(self, cause: str, hint: str) -> None:
        wait_s = AGAIN_S[min(self._tries, len(AGAIN_S) - 1)]
        self._tries += 1
        self._not_before_s = self.clock.monotonic() + wait_s
        self.session.sink(ApplyWaits(cause, hint, wait_s))


@asynccontextmanager
async def linked(session: Session, run: str) -> AsyncIterator[Session]:
    """A session for one run of many: the operator's signals reach it, and its own trouble ends only that run."""
    interrupt = Interrupt()

    async def pass_on() -> None:
        await session.interrupt.asked.wait()
        interrupt.ask(session.interrupt.reason)
        await session.interrupt.insisted.wait()
        interrupt.ask()

    passing = asyncio.create_task(pass_on())
    try:
        yield Session(session.sink, interrupt, run)
    finally:
        passing.cancel()
        with suppress(asyncio.CancelledError):
            await passing
