"""Snapshots of a live cluster, and the last quarter of an hour to go back to.

They are made in a task of the terminal's own loop. What breaks off is said in the snapshot, and tried again.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Final

from pdctl.control.clock import Clock, SystemClock
from pdctl.control.cluster import Cluster
from pdctl.control.watch import Watch, alerted, watching
from pdctl.errors import PdctlError
from pdctl.model.snapshot import Snapshot, Source
from pdctl.telemetry.alerts import AlertBook
from pdctl.tui.ring import Ring, pack

RETRY_S: Final = 5.0
"""After live figures broke off, before they are tried again."""

OpenWatch = Callable[[Cluster, float], AbstractAsyncContextManager[Watch]]


def _open_watch(cluster: Cluster, interval_s: float) -> AbstractAsyncContextManager[Watch]:
    return watching(cluster, interval_s=interval_s, canaries=True)


class LiveFeed:
    """Snapshots of a cluster as they are taken, and the last quarter of an hour to go back to; its own transport.

    While it is paused, what is shown stands still and the ring goes on being filled. `taken` hears of every snapshot.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        interval_s: float = 1.0,
        ring: Ring | None = None,
        clock: Clock | None = None,
        open_watch: OpenWatch = _open_watch,
        taken: Callable[[Snapshot], None] = lambda snapshot: None,
    ) -> None:
        self._cluster, self._interval_s, self._open_watch, self._taken = cluster, interval_s, open_watch, taken
        self._ring = Ring() if ring is None else ring
        self._clock = clock or SystemClock()
        self._book = AlertBook()
        self._watch: Watch | None = None
        self._newest: Snapshot | None = None
        self._back_s: float | None = None  # the wall time that is looked at; None: now
        self._changed = asyncio.Event()
        self._packing: asyncio.Task[None] | None = None

    # --- the feed

    @property
    def transport(self) -> LiveFeed:
        return self

    @property
    def interval_s(self) -> float:
        return self._interval_s

    def set_interval(self, interval_s: float) -> None:
        self._interval_s = interval_s
        if self._watch is not None:
            self._watch.set_interval(interval_s)

    def look_again(self) -> None:
        """Something was changed: ask the nodes what runs there, now."""
        if self._watch is not None:
            self._watch.look_now.set()

    async def snapshots(self) -> AsyncIterator[Snapshot]:
        """The newest, or the one that was gone back to."""
        gathering = asyncio.create_task(self._gather(), name="live figures")
        try:
            while True:
                await self._changed.wait()
                self._changed.clear()
                shown = self._shown()
                if shown is not None:
                    yield shown
        finally:
            gathering.cancel()
            if self._packing is not None:
                self._packing.cancel()
            await asyncio.gather(gathering, return_exceptions=True)

    def _shown(self) -> Snapshot | None:
        if self._back_s is None or self._newest is None:
            return self._newest
        if self._back_s >= self._newest.taken_s or not self._ring.times:
            return replace(self._newest, source=Source.RECORDING)
        return self._ring.at(self._back_s)

    async def _gather(self) -> None:
        """Until cancelled: what breaks off is said, and tried again."""
        while True:
            why = "they ended"
            try:
                async with self._open_watch(self._cluster, self._interval_s) as self._watch:
                    async for snapshot in alerted(self._watch.snapshots(), self._book):
                        self._take(snapshot)
            except PdctlError as error:
                why = error.message
            except Exception as error:  # a defect of a loop of ours is said, and costs no more than its figures
                why = f"internal error: {error!r}"
            finally:
                self._watch = None
            self._broke_off(why)
            await self._clock.sleep(RETRY_S)

    def _take(self, snapshot: Snapshot) -> None:
        self._newest = snapshot
        self._taken(snapshot)
        idle = self._packing is None or self._packing.done()
        if idle and self._ring.wants(snapshot):
            self._packing = asyncio.create_task(self._keep(snapshot))
        if self._back_s is None:
            self._changed.set()

    async def _keep(self, snapshot: Snapshot) -> None:
        self._ring.keep(snapshot.taken_s, await asyncio.to_thread(pack, snapshot))

    def _broke_off(self, why: str) -> None:
        if self._newest is None:
            return
        note = f"live figures broke off: {why}; they are tried again every {RETRY_S:g} s"
        self._newest = replace(self._newest, notes=(*self._newest.notes, note))
        if self._back_s is None:
            self._changed.set()

    # --- the transport

    @property
    def times(self) -> Sequence[float]:
        return self._ring.times

    @property
    def place(self) -> int:
        times = self._ring.times
        if self._back_s is None:
            return len(times) - 1
        return max(0, bisect_right(times, self._back_s) - 1)

    @property
    def playing(self) -> bool:
        return self._back_s is None

    @property
    def speed(self) -> float:
        return 1.0

    @property
    def live(self) -> bool:
        return True

    def toggle(self) -> None:
        """Freeze, or be live again."""
        self._back_s = self._newest.taken_s if self._back_s is None and self._newest is not None else None
        self._changed.set()

    def step(self, count: int) -> None:
        """Freeze, and go so many snapshots back or on; beyond the newest there is none."""
        times = self._ring.times
        if times:
            self._back_s = times[min(max(self.place + count, 0), len(times) - 1)]
            self._changed.set()

    def seek(self, taken_s: float) -> None:
        """Freeze at that wall time, as far as it is known."""
        times = self._ring.times
        if times:
            self._back_s = min(max(taken_s, times[0]), times[-1])
            self._changed.set()

    def set_speed(self, speed: float) -> None:
        """Live is live."""
