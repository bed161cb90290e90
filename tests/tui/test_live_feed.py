"""The live feed: what is shown is the newest or what was gone back to, and what breaks off is said and tried again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

from pdctl.control.cluster import Cluster
from pdctl.control.watch import Watch
from pdctl.errors import Unreachable
from pdctl.model.snapshot import Snapshot, Source
from pdctl.tui.live_feed import LiveFeed
from pdctl.tui.replay_line import mark_of, replay_line
from pdctl.tui.spans import plain
from tests.tui.fleet import START_S, snapshot
from tests.tui.test_playback import Hand
from tests.waiting import wait_until


@dataclass
class Telemetry:
    """Live figures that a test sends tick by tick; an error among them breaks them off."""

    ticks: asyncio.Queue[Snapshot | Exception] = field(default_factory=asyncio.Queue)
    opened: list[float] = field(default_factory=list)
    interval_s: float = 0.0
    look_now: asyncio.Event = field(default_factory=asyncio.Event)

    async def snapshots(self) -> AsyncIterator[Snapshot]:
        while True:
            tick = await self.ticks.get()
            if isinstance(tick, Exception):
                raise tick
            yield tick

    def set_interval(self, interval_s: float) -> None:
        self.interval_s = interval_s

    @asynccontextmanager
    async def open(self, cluster: Cluster, interval_s: float) -> AsyncIterator[Watch]:
        self.opened.append(interval_s)
        yield cast(Watch, self)


def feed_of(telemetry: Telemetry, clock: Hand | None = None) -> LiveFeed:
    return LiveFeed(cast(Cluster, None), open_watch=telemetry.open, clock=clock or Hand())


async def ticked(feed: LiveFeed, telemetry: Telemetry, shown: AsyncIterator[Snapshot], *ticks: int) -> Snapshot:
    """Send these ticks, one after the other; the last snapshot that was shown."""
    told: Snapshot | None = None
    for tick in ticks:
        telemetry.ticks.put_nowait(snapshot(tick=tick))
        told = await soon(shown)
        await kept(feed, START_S + tick)
    assert told is not None
    return told


async def soon(shown: AsyncIterator[Snapshot]) -> Snapshot:
    async with asyncio.timeout(5.0):
        return await anext(shown)


async def kept(feed: LiveFeed, taken_s: float) -> None:
    """Until the ring holds the snapshot of that time: it is packed in a thread."""
    await wait_until(lambda: taken_s in feed.times, 5.0, poll_s=0.002)


async def test_the_newest_is_shown_and_the_past_can_be_gone_back_to() -> None:
    telemetry = Telemetry()
    feed = feed_of(telemetry)
    shown = feed.snapshots()
    assert (await ticked(feed, telemetry, shown, 0, 1, 2)).seq == 2
    assert (feed.playing, mark_of(feed)) == (True, "")
    feed.step(-1)
    back = await soon(shown)
    assert (back.seq, back.source, feed.playing, mark_of(feed)) == (1, Source.RECORDING, False, "1.0s back")
    telemetry.ticks.put_nowait(snapshot(tick=3))  # it goes on behind what is shown
    await kept(feed, START_S + 3)
    assert mark_of(feed) == "2.0s back"
    assert "2.0s ago" in plain(replay_line(feed, 100))
    feed.seek(START_S - 100)
    assert (await soon(shown)).seq == 0
    feed.toggle()
    now = await soon(shown)
    assert (now.seq, now.source, feed.playing) == (3, Source.LIVE, True)


async def test_a_frozen_screen_is_never_told_as_live() -> None:
    telemetry = Telemetry()
    feed = feed_of(telemetry)
    shown = feed.snapshots()
    await ticked(feed, telemetry, shown, 0)
    feed.toggle()
    frozen = await soon(shown)
    assert (frozen.seq, frozen.source) == (0, Source.RECORDING)


async def test_what_breaks_off_is_said_and_tried_again() -> None:
    telemetry, clock = Telemetry(), Hand()
    feed = feed_of(telemetry, clock)
    shown = feed.snapshots()
    await ticked(feed, telemetry, shown, 0)
    telemetry.ticks.put_nowait(Unreachable("n01", "no route to host"))
    broken = await soon(shown)
    assert "n01: no route to host" in broken.notes[-1]
    await clock.on(5.0)
    assert (await ticked(feed, telemetry, shown, 7)).notes == ()
    telemetry.ticks.put_nowait(KeyError("a defect"))
    assert "internal error" in (await soon(shown)).notes[-1]
    assert len(telemetry.opened) == 2


async def test_the_rate_is_the_telemetrys_own() -> None:
    telemetry = Telemetry()
    feed = feed_of(telemetry)
    shown = feed.snapshots()
    await ticked(feed, telemetry, shown, 0)
    feed.set_interval(5.0)
    feed.look_again()
    assert (telemetry.interval_s, feed.interval_s, telemetry.look_now.is_set()) == (5.0, 5.0, True)


async def test_nothing_is_left_when_the_screen_ends() -> None:
    telemetry = Telemetry()
    feed = feed_of(telemetry)
    shown = feed.snapshots()
    await ticked(feed, telemetry, shown, 0)
    before = {task for task in asyncio.all_tasks() if task.get_name() == "live figures"}
    assert len(before) == 1
    await cast(AsyncGenerator[Snapshot, None], shown).aclose()
    assert all(task.done() for task in before)
