"""Playing back: what is due when, the ring of a live cluster, and a recording as a feed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from pdctl.control.execute import Interrupt
from pdctl.control.request import MoveRequest
from pdctl.errors import PlanRefused, UsageError
from pdctl.model.snapshot import Snapshot, Source
from pdctl.tui.playback import Playhead, at_speed, following, next_speed, sought, stepped, toggled
from pdctl.tui.recorded import RecordingFeed, RecordingOperations
from pdctl.tui.ring import Ring, pack
from tests.tui.fleet import START_S, snapshot

TIMES = (0.0, 1.0, 2.0, 3.0, 100.0)


@pytest.mark.parametrize(
    ("place", "speed", "expected"),
    [(0, 1.0, (1, 1.0)), (0, 2.0, (1, 0.5)), (0, 8.0, (2, 0.25)), (3, 1.0, (4, 15.0)), (2, 100.0, (4, 0.25)),
     (4, 1.0, None)],
)  # fmt: skip
def test_what_is_due_next(place: int, speed: float, expected: tuple[int, float] | None) -> None:
    assert following(Playhead(place, speed=speed), TIMES, 0.25) == expected


def test_controls_of_a_player() -> None:
    head = Playhead(2)
    assert stepped(head, TIMES, 9) == Playhead(4, playing=False)
    assert stepped(head, TIMES, -9) == Playhead(0, playing=False)
    assert toggled(Playhead(4, playing=False), TIMES) == Playhead(0, playing=True)
    assert toggled(head, TIMES) == Playhead(2, playing=False)
    assert sought(head, TIMES, 50.0).place == 3
    assert sought(head, TIMES, -1.0).place == 0
    assert at_speed(head, 1e9).speed == 300.0
    assert (next_speed(1.0, faster=True), next_speed(1.0, faster=False), next_speed(300.0, faster=True)) == (
        2,
        0.5,
        300,
    )


def test_the_ring_is_bounded_by_time_and_by_size_and_is_never_live() -> None:
    ring = Ring(keep_s=10.0)
    for tick in range(30):
        shown = snapshot(tick=tick)
        if ring.wants(shown):
            ring.keep(shown.taken_s, pack(shown))
    assert [taken - START_S for taken in ring.times] == [float(tick) for tick in range(19, 30)]
    back = ring.at(START_S + 21.5)
    assert (back.taken_s, back.source) == (START_S + 21.0, Source.RECORDING)
    assert replace(back, source=Source.LIVE) == snapshot(tick=21)
    small = Ring(max_bytes=3 * len(pack(snapshot())))
    for tick in range(30):
        small.keep(START_S + tick, pack(snapshot(tick=tick)))
    assert len(small.times) <= 4
    assert small.size_bytes <= 3 * len(pack(snapshot())) + 1


def test_large_clusters_are_kept_less_often() -> None:
    ring = Ring()
    shown = snapshot(64, 192)
    ring.keep(shown.taken_s, b"x")
    assert not ring.wants(replace(shown, taken_s=shown.taken_s + 2.0))
    assert ring.wants(replace(shown, taken_s=shown.taken_s + 4.0))


def test_a_clock_that_is_set_back_starts_the_ring_anew() -> None:
    ring = Ring()
    for taken_s in (50.0, 51.0, 20.0):
        ring.keep(taken_s, pack(snapshot()))
    assert ring.times == (20.0,)


@dataclass
class Tape:
    """A recording in memory; places in `damaged` cannot be read."""

    times: tuple[float, ...] = tuple(START_S + tick for tick in range(5))
    damaged: frozenset[int] = frozenset()

    def snapshot(self, place: int) -> Snapshot:
        if place in self.damaged:
            raise ValueError("a block of the recording is damaged")
        return snapshot(tick=place, source=Source.RECORDING)


@dataclass
class Hand:
    """A clock that moves only when it is told to."""

    now_s: float = 0.0
    asleep: list[tuple[float, asyncio.Event]] = field(default_factory=list)
    somebody: asyncio.Event = field(default_factory=asyncio.Event)

    def monotonic(self) -> float:
        return self.now_s

    def time(self) -> float:
        return START_S + self.now_s

    async def sleep(self, seconds: float) -> None:
        item = (self.now_s + seconds, asyncio.Event())
        self.asleep.append(item)
        self.somebody.set()
        try:
            await item[1].wait()
        finally:
            self.asleep.remove(item)

    async def on(self, seconds: float) -> None:
        """Let so much time pass, as soon as somebody sleeps."""
        if not self.asleep:
            self.somebody.clear()
            await self.somebody.wait()
        self.now_s += seconds
        for due_s, woken in self.asleep:
            if due_s <= self.now_s:
                woken.set()


async def following_seq(shown: AsyncIterator[Snapshot]) -> int:
    async with asyncio.timeout(5.0):
        return (await anext(shown)).seq


async def test_a_recording_plays_at_its_own_pace_and_obeys_its_operator() -> None:
    clock = Hand()
    feed = RecordingFeed(Tape(), clock=clock)
    shown = feed.snapshots()
    assert await following_seq(shown) == 0
    second, _ = await asyncio.gather(following_seq(shown), clock.on(1.0))
    assert second == 1
    feed.step(2)
    assert (await following_seq(shown), feed.playing) == (3, False)
    feed.seek(START_S + 1.2)
    assert await following_seq(shown) == 1
    feed.set_speed(4.0)
    feed.toggle()
    assert (await following_seq(shown), feed.playing, feed.speed) == (1, True, 4.0)
    third, _ = await asyncio.gather(following_seq(shown), clock.on(0.25))
    assert third == 2


async def test_a_recording_stands_still_at_its_end_and_can_be_taken_back() -> None:
    feed = RecordingFeed(Tape(), first=4, clock=Hand())
    shown = feed.snapshots()
    assert await following_seq(shown) == 4
    assert (await following_seq(shown), feed.playing) == (4, False)  # told anew: it stands
    feed.step(-4)
    assert await following_seq(shown) == 0


async def test_a_damaged_part_is_said_and_passed_over() -> None:
    feed = RecordingFeed(Tape(damaged=frozenset({1})), clock=Hand())
    shown = feed.snapshots()
    assert await following_seq(shown) == 0
    feed.step(1)
    told = await anext(shown)
    assert told.seq == 0
    assert "damaged" in told.notes[-1]
    feed.step(1)
    assert (await anext(shown)).notes == ()


def test_an_empty_recording_is_refused() -> None:
    with pytest.raises(UsageError, match="holds no snapshot"):
        RecordingFeed(Tape(times=()))


async def test_nothing_can_be_changed_in_a_recording() -> None:
    operations = RecordingOperations(Path("x.rec"))
    assert "recording" in operations.read_only
    with pytest.raises(PlanRefused, match="recording"):
        await operations.propose(MoveRequest(("a",), "decode"))
    with pytest.raises(PlanRefused, match="recording"):
        await operations.carry_out(MoveRequest(("a",), "decode"), lambda event: None, Interrupt())
    assert "no journal" in (await operations.activity(10)).trouble
    assert [name async for name, _ in operations.logs(["a", "b"], lines=1)] == ["a", "b"]
