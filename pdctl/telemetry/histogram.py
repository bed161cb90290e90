"""A histogram's increments over a window, and what they allow to say: intervals, never a made-up point.

Buckets are cumulative, as Prometheus text has them: `counts[i]` events took at most `bounds[i]`.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from pdctl.model.figure import Basis, Figure, Latency
from pdctl.model.reading import Unknown

QUANTILES = (0.5, 0.9, 0.99)
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Histogram:
    """Increments over a window. `bounds` ascend and end with inf; `total` is the sum of the values."""

    bounds: tuple[float, ...]
    counts: tuple[float, ...]
    total: float
    count: float

    def quantile(self, share: float) -> tuple[float, float] | None:
        """Bounds between which the quantile of the events lies, by any of the usual definitions; None without events.

        The definitions differ by less than one event: they all lie between the events of rank floor and ceiling of
        `share * (count - 1)`, so the interval runs from the lower bound of the first one's bucket to the upper bound
        of the second one's.
        """
        if self.count < 1 or not self.counts:
            return None
        rank, counts, bounds = share * (self.count - 1), self.counts, self.bounds
        top = len(bounds) - 1
        first = last = bisect_left(counts, math.floor(rank + _ROUNDING) + 1 - _ROUNDING)
        if first >= top:
            return (bounds[top - 1] if top else 0.0, bounds[top])
        above = math.ceil(rank - _ROUNDING) + 1 - _ROUNDING
        if counts[last] < above:
            last = min(bisect_left(counts, above), top)
        return (bounds[first - 1] if first else 0.0, bounds[last])

    def share_within(self, limit: float) -> tuple[float, float] | None:
        """Between which shares, 0..1, of the events took at most `limit`; exact where it is a bucket's bound."""
        if self.count < 1 or not self.counts:
            return None
        above = bisect_left(self.bounds, limit)
        if above < len(self.bounds) and self.bounds[above] == limit:
            exact = self.counts[above] / self.count
            return (exact, exact)
        low = self.counts[above - 1] / self.count if above else 0.0
        high = self.counts[above] / self.count if above < len(self.counts) else 1.0
        return (low, high)

    def latency(self, age_s: float, basis: Basis = Basis.MEASURED, note: str = "") -> Latency:
        """Mean and quantiles as figures; all unknown where nothing happened in the window."""
        if self.count < 1:
            nothing = Unknown("nothing finished in this window")
            return Latency(Figure.exact(0.0, age_s, basis, note), nothing, nothing, nothing, nothing)
        mean_s = self.total / self.count
        return Latency(
            Figure(self.count, self.count, age_s, basis, note),
            Figure(mean_s, mean_s, age_s, basis, note),
            *[self._figure(share, age_s, basis, note) for share in QUANTILES],
        )

    def _figure(self, share: float, age_s: float, basis: Basis, note: str) -> Figure | Unknown:
        interval = self.quantile(share)
        if interval is None:
            return Unknown("the histogram has no buckets")
        return Figure(*interval, age_s, basis, note)


def merge(histograms: Sequence[Histogram]) -> Histogram | None:
    """All events together; where the buckets differ, over the bounds that all have. None of none."""
    if not histograms:
        return None
    first = histograms[0]
    if len(histograms) == 1:
        return first
    if all(histogram.bounds == first.bounds for histogram in histograms):
        bounds = first.bounds
        columns = [histogram.counts for histogram in histograms]
    else:
        common = frozenset.intersection(*(frozenset(histogram.bounds) for histogram in histograms))
        bounds = tuple(sorted(common))
        columns = [
            tuple(count for bound, count in zip(histogram.bounds, histogram.counts, strict=True) if bound in common)
            for histogram in histograms
        ]
    return Histogram(
        bounds,
        tuple(map(sum, zip(*columns, strict=True))),
        sum(histogram.total for histogram in histograms),
        sum(histogram.count for histogram in histograms),
    )
