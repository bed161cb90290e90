"""How long points will take, before and while they run. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pdctl.bench.point import Point

_TELLING = 8
"""Requests that have to end before their rate says anything about the rest."""


def least_s(point: Point) -> float | None:
    """The shortest time that the point can take, whatever the server does; None where nothing but the server says."""
    if point.workload.concurrency is None or point.workload.span_s > 0:
        span_s = point.workload.span_s
        return span_s if point.duration_s is None else min(span_s, point.duration_s)
    return point.duration_s


def eta_s(point: Point, *, ended: int, elapsed_s: float) -> float | None:
    """Until the end of the point: its arrivals need their time, and its requests go on as fast as they did. None while
    too few have ended."""
    bounds = []
    least = least_s(point)
    if least is not None and (least > elapsed_s or point.duration_s is not None):
        bounds.append(max(0.0, least - elapsed_s))
    if point.duration_s is None and ended >= min(_TELLING, len(point.workload.asked)) and elapsed_s > 0:
        bounds.append((len(point.workload.asked) - ended) * elapsed_s / ended)
    return max(bounds, default=None)


@dataclass(frozen=True, slots=True)
class Pace:
    """What measured points of a scenario say about the next ones: the mean time that a request took."""

    e2el_s: float

    def expects_s(self, point: Point) -> float:
        """As `least_s`, or what a closed loop takes at this pace if that is longer."""
        slots = point.workload.concurrency
        closed_s = len(point.workload.asked) * self.e2el_s / slots if slots else 0.0
        if point.duration_s is not None:
            closed_s = min(closed_s, point.duration_s)
        return max(least_s(point) or 0.0, closed_s)


def run_eta_s(this_s: float | None, later: Iterable[tuple[Point, Pace | None]]) -> float | None:
    """Until the end of the run: this point, and the later ones at the pace of their scenario. None where one of them
    cannot be told."""
    if this_s is None:
        return None
    total_s = this_s
    for point, pace in later:
        if pace is None and point.workload.concurrency is not None:
            return None
        total_s += (least_s(point) or 0.0) if pace is None else pace.expects_s(point)
    return total_s
