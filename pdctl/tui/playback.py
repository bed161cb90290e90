"""Playing snapshots back: which comes next and when. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

SPEEDS: Final = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
GAP_S: Final = 15.0
"""A longer gap (nothing was recorded) plays as one of this length."""


@dataclass(frozen=True, slots=True)
class Playhead:
    """Where a recording stands: `place` of the snapshot that is shown, whether it goes on by itself, and how fast."""

    place: int = 0
    playing: bool = True
    speed: float = 1.0


def following(head: Playhead, times: Sequence[float], frame_s: float) -> tuple[int, float] | None:
    """The place to show next and how many seconds from now; None at the end. No two come within `frame_s`: where it
    plays fast, places are passed over."""
    place, wait_s = head.place, 0.0
    while place + 1 < len(times):
        place += 1
        wait_s += min(max(0.0, times[place] - times[place - 1]), GAP_S) / head.speed
        if wait_s >= frame_s:
            break
    return None if place == head.place else (place, max(wait_s, frame_s))


def toggled(head: Playhead, times: Sequence[float]) -> Playhead:
    """Pause, or go on; from the end, from the beginning."""
    if not head.playing and head.place >= len(times) - 1:
        return replace(head, place=0, playing=len(times) > 1)
    return replace(head, playing=not head.playing)


def stepped(head: Playhead, times: Sequence[float], count: int) -> Playhead:
    """Pause, and go `count` on (or back), not beyond the ends."""
    return replace(head, place=_within(head.place + count, times), playing=False)


def sought(head: Playhead, times: Sequence[float], taken_s: float) -> Playhead:
    """Show the last snapshot not after `taken_s` (wall clock); whether it plays stays as it is."""
    return replace(head, place=_within(bisect_right(times, taken_s) - 1, times))


def at_speed(head: Playhead, speed: float) -> Playhead:
    """That fast from now on, within what makes sense."""
    return replace(head, speed=min(max(speed, SPEEDS[0]), SPEEDS[-1]))


def next_speed(speed: float, *, faster: bool) -> float:
    """The next of SPEEDS."""
    if faster:
        return next((each for each in SPEEDS if each > speed), SPEEDS[-1])
    return next((each for each in reversed(SPEEDS) if each < speed), SPEEDS[0])


def _within(place: int, times: Sequence[float]) -> int:
    return max(0, min(place, len(times) - 1))
