"""What a recording holds from before the place that is shown: charts begin with it, wherever one goes."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from pdctl.model.snapshot import Snapshot
from pdctl.tui.history import SPAN_S, History

COUNT: Final = 180
"""One in five seconds: reading a snapshot costs some milliseconds (4 ms for five instances, measured)."""


class Recorded(Protocol):
    """`telemetry.recording.Recording`."""

    @property
    def times(self) -> Sequence[float]: ...
    def snapshot(self, place: int) -> Snapshot: ...


def before(recording: Recorded, taken_s: float, *, span_s: float = SPAN_S, count: int = COUNT) -> Iterator[Snapshot]:
    """Of the `span_s` before `taken_s`, at most `count` snapshots, the newest first: what is near is seen first."""
    first, last = bisect_left(recording.times, taken_s - span_s), bisect_left(recording.times, taken_s)
    step = max(1, -(-(last - first) // count))
    return (recording.snapshot(place) for place in range(last - 1, first - 1, -step))


async def recall(history: History, snapshots: Iterator[Snapshot]) -> None:
    """Fill the history, one snapshot at a time between two key presses."""
    for snapshot in snapshots:
        history.fill(snapshot)
        await asyncio.sleep(0)
