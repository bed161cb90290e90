"""The spread of one latency over requests or gaps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """In seconds; quantiles between neighbours, as NumPy's and so `vllm bench serve`'s; `std_s` of the population."""

    mean_s: float
    median_s: float
    p90_s: float
    p99_s: float
    std_s: float
    count: int


def spread(samples: Iterable[float]) -> Spread | None:
    """None of no samples."""
    ordered = sorted(samples)
    if not ordered:
        return None
    mean_s = math.fsum(ordered) / len(ordered)
    variance = math.fsum((value - mean_s) ** 2 for value in ordered) / len(ordered)
    return Spread(
        mean_s,
        quantile(ordered, 0.5),
        quantile(ordered, 0.9),
        quantile(ordered, 0.99),
        math.sqrt(variance),
        len(ordered),
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """The `share` quantile (0..1) of ascending, non-empty `ordered`, linear between neighbours (Hyndman-Fan type 7)."""
    position = share * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)
