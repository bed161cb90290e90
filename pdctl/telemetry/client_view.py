"""What clients see, from what engines export: an estimate in READ mode, and always labelled as what it is.

WRITE: the decode engine has the request from the start, so its TTFT is the client's but for the router. READ: decode is
told when prefill has answered, so the client waits for one after the other: the mean of the sum is the sum of means,
and its quantiles are bounded (Frechet; Makarov 1981) without knowing how the two depend on each other. What the router
and the network add is not in any histogram: means are without it, and intervals leave room for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from pdctl.model.deployment import Slo
from pdctl.model.figure import Basis, Fig, Figure, Latency
from pdctl.model.reading import Unknown
from pdctl.model.role import TransferMode
from pdctl.model.snapshot import Attainment, ClientView
from pdctl.telemetry.histogram import QUANTILES, Histogram
from pdctl.telemetry.meter import Tally

ROUTE_S: Final = 0.025
"""Room for the router, the network and the engines' HTTP servers: on two busy cores nine of ten requests of 2000
tokens took less (measured with vllm-router 0.1.17 before simulated engines; 8-13 ms in the mean)."""
JITTER_S: Final = 0.005
"""Room for a token that comes late or early: what one gap gains, its neighbour loses."""
_NOTE_OWN = "the decode engine's own; without the router"
_NOTE_READ = "prefill's and decode's added; without the router"
_NOTE_ROUTE = f"{ROUTE_S * 1e3:.0f} ms of room for router and network"
_NOTE_GAPS = f"{JITTER_S * 1e3:.0f} ms of room for the network's jitter"
_NOTE_ITL = "share of single gaps, not of requests' own P99"
_NOTE_BOTH = "bounds from TTFT and ITL apart"


def client_view(
    prefill: Tally | None, decode: Tally | None, mode: TransferMode | None, slo: Slo, age_s: float
) -> ClientView:
    """Over one window. `prefill`, `decode`: the pools' merged tallies; `mode` None: one mixed pool, as `decode`."""
    if decode is None:
        nothing = Latency.unknown("no decode engine answers")
        why = Unknown("no decode engine answers")
        return ClientView(nothing, nothing, nothing, Attainment(why, why, why))
    itl = decode.histograms.get("itl")
    e2e = decode.histograms.get("e2e")
    last = decode.histograms.get("ttft")
    first = prefill.histograms.get("ttft") if prefill is not None else None
    if mode is TransferMode.READ:  # the prefill leg ends with its first token: its TTFT is its whole time
        ttft, whole = _added(first, last, age_s), _added(first, e2e, age_s)
        within = _added_within(first, last, slo.ttft_s)
    else:
        ttft, whole = _own(last, "ttft", age_s), _own(e2e, "e2e", age_s)
        within = last.share_within(slo.ttft_s) if last else None
    gaps = itl.share_within(slo.itl_s) if itl else None
    return ClientView(
        _roomier(ttft, 0.0, ROUTE_S, _NOTE_ROUTE),
        _roomier(_own(itl, "itl", age_s), JITTER_S, JITTER_S, _NOTE_GAPS),
        _roomier(whole, 0.0, ROUTE_S, _NOTE_ROUTE),
        Attainment(
            _share(within, age_s, _NOTE_READ if mode is TransferMode.READ else _NOTE_OWN),
            _share(gaps, age_s, _NOTE_ITL),
            _both(within, gaps, age_s),
        ),
    )


def _own(histogram: Histogram | None, family: str, age_s: float) -> Latency:
    """The decode engine's figure, as an estimate of the client's."""
    return histogram.latency(age_s, Basis.ESTIMATED, _NOTE_OWN) if histogram else Latency.unknown("not shown", family)


def _roomier(latency: Latency, below_s: float, above_s: float, note: str) -> Latency:
    """With room in the quantiles' intervals for what no engine sees; the mean stays as engines have it."""

    def wider(figure: Fig) -> Fig:
        if isinstance(figure, Unknown):
            return figure
        low = max(0.0, figure.low - below_s)
        return replace(figure, low=low, high=figure.high + above_s, note=f"{figure.note}; {note}")

    return replace(latency, p50=wider(latency.p50), p90=wider(latency.p90), p99=wider(latency.p99))


def _added(first: Histogram | None, last: Histogram | None, age_s: float) -> Latency:
    """The sum of two latencies."""
    if not first or not last or first.count < 1 or last.count < 1:
        return Latency.unknown("nothing finished in this window on one of the two sides")
    mean_s = first.total / first.count + last.total / last.count
    middle, high, highest = (
        Figure(*added_quantile(first, last, share), age_s, Basis.ESTIMATED, _NOTE_READ) for share in QUANTILES
    )
    count = Figure.exact(min(first.count, last.count), age_s, Basis.ESTIMATED)
    mean = Figure.exact(mean_s, age_s, Basis.ESTIMATED, _NOTE_READ)
    return Latency(count, mean, middle, high, highest)


def added_quantile(first: Histogram, last: Histogram, share: float) -> tuple[float, float]:
    """Bounds of the `share` quantile of the sum, whatever the dependence of the two.

    Of all ways to split `share` between the two, only those at which the first one's bucket begins (from below) or ends
    (from above) can be the tightest: within a bucket its bound stands still.
    """
    lows, highs = [0.0], [math.inf]
    for begins, ends in _ranks(first):
        if begins <= share:
            lows.append(_at(first, begins)[0] + _at(last, share - begins)[0])
        if ends >= share:
            highs.append(_at(first, ends)[1] + _at(last, 1.0 + share - ends)[1])
    return (max(lows), min(highs))


def _ranks(histogram: Histogram) -> Iterator[tuple[float, float]]:
    """The shares at which the first and the last event of each bucket lie, of buckets that hold any."""
    top, below = max(histogram.count - 1.0, 1.0), 0.0
    for count in histogram.counts:
        if count > below:
            yield (min(below / top, 1.0), 1.0 if count >= histogram.count else max(count - 1.0, 0.0) / top)
        below = count


def _added_within(first: Histogram | None, last: Histogram | None, limit_s: float) -> tuple[float, float] | None:
    """Bounds of the share of sums up to `limit_s`: P(X<=a)+P(Y<=limit-a)-1 from below, their sum from above."""
    if not first or not last or first.count < 1 or last.count < 1:
        return None
    low, high = 0.0, 1.0
    edges = {bound for bound in first.bounds if bound <= limit_s} | {
        limit_s - bound for bound in last.bounds if bound <= limit_s
    }
    for edge in edges | {0.0, limit_s}:
        one, other = _within(first, edge), _within(last, limit_s - edge)
        low = max(low, one[0] + other[0] - 1.0)
        high = min(high, one[1] + other[1])
    return (low, max(low, high))


def _at(histogram: Histogram, share: float) -> tuple[float, float]:
    return histogram.quantile(min(max(share, 0.0), 1.0)) or (0.0, float("inf"))


def _within(histogram: Histogram, limit_s: float) -> tuple[float, float]:
    return histogram.share_within(limit_s) or (0.0, 1.0)


def _share(bounds: tuple[float, float] | None, age_s: float, note: str) -> Fig:
    if bounds is None:
        return Unknown("nothing finished in this window")
    return Figure(*bounds, age_s, Basis.ESTIMATED, note)


def _both(ttft: tuple[float, float] | None, itl: tuple[float, float] | None, age_s: float) -> Fig:
    if ttft is None or itl is None:
        return Unknown("nothing finished in this window")
    return Figure(max(0.0, ttft[0] + itl[0] - 1.0), min(ttft[1], itl[1]), age_s, Basis.ESTIMATED, _NOTE_BOTH)
