"""What is left of a point that was cut, and what its stretches say about time. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from pdctl.bench.point import Point
from pdctl.bench.runs.point_files import Stretch
from pdctl.bench.runs.row_codec import StoredRow
from pdctl.perf.workload import Workload


def remaining(point: Point, measured: Collection[int], spent_s: float = 0.0) -> Point:
    """The point with the requests only that are not `measured`, the first of them offered at 0 as the arrivals of the
    others are kept apart from it, and with what `spent_s` leaves of its duration."""
    left = [index for index in range(len(point.workload.asked)) if index not in measured]
    asked = [point.workload.asked[index] for index in left]
    began_s = asked[0].at_s if asked else 0.0
    duration_s = None if point.duration_s is None else max(0.0, point.duration_s - spent_s)
    return replace(
        point,
        workload=Workload(tuple(replace(each, at_s=each.at_s - began_s) for each in asked), point.workload.concurrency),
        indices=tuple(left),
        duration_s=duration_s,
    )


def last_end_s(rows: Sequence[StoredRow], stretch: int) -> float | None:
    """When the last request of a stretch ended, in seconds from the start of the point; None where none has."""
    ends = [stored.row.sent_s + stored.row.e2el_s for stored in rows if stored.stretch == stretch]
    return max(ends, default=None)


def spent_s(stretches: Sequence[Stretch], rows: Sequence[StoredRow]) -> float:
    """How long the stretches lasted together. One that was killed lasted until its last row."""
    if not stretches:
        return 0.0
    number = len(stretches) - 1
    last = stretches[number]
    if last.took_s is not None:
        return last.offset_s + last.took_s
    end_s = last_end_s(rows, number)
    return last.offset_s if end_s is None else max(last.offset_s, end_s)
