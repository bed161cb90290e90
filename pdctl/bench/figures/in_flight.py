"""How many requests were in flight, and how late the client sent them. Pure."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence

from pdctl.bench.driver import REFUSED_PAUSE_S
from pdctl.bench.row import Row
from pdctl.model.outcome import Outcome

_ROUNDING_S = 5e-6
"""Rows may have been rounded to microseconds: a request sent as another ended must not count as beside it."""


def mean_in_flight(rows: Iterable[Row], took_s: float) -> float:
    """The mean over `took_s` seconds of the number of requests sent and not yet ended, however they ended."""
    return math.fsum(row.e2el_s for row in rows) / took_s if took_s > 0 else 0.0


def peak_in_flight(rows: Iterable[Row]) -> int:
    """The most requests in flight at once; one that ends just as another is sent makes room for it, and one that ended
    at once was in flight all the same."""
    steps = [
        step for row in rows for step in ((row.sent_s, 1), (max(row.sent_s, row.sent_s + row.e2el_s - _ROUNDING_S), -1))
    ]
    peak = flying = 0
    for _, change in sorted(steps, key=lambda step: (step[0], -step[1])):
        flying += change
        peak = max(peak, flying)
    return peak


def lags_s(rows: Sequence[Row]) -> list[float]:
    """Seconds by which each request was sent later than it could have been, in the order of sending.

    It could be sent once it was due and there was a place for it. That a concurrency limit was in force need not be
    known: as many places as were ever taken at once are counted, so a wait for a place is no lag, whereas a client
    too slow to send what is due is seen whenever fewer are in flight. The client's own pause after a refusal is none.
    """
    places = peak_in_flight(rows)
    ends: list[float] = []
    lags = []
    free_s = -math.inf
    for row in sorted(rows, key=lambda row: (row.sent_s, row.at_s, row.e2el_s)):
        if len(ends) >= places:
            free_s = max(free_s, heapq.heappop(ends))
        lags.append(max(0.0, row.sent_s - max(row.at_s, free_s)))
        pause_s = REFUSED_PAUSE_S if row.outcome is Outcome.REFUSED else 0.0
        heapq.heappush(ends, row.sent_s + row.e2el_s + pause_s)
    return lags
