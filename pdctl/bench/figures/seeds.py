"""Several seeds of one point -> a mean, and how sure it is. Pure.

The interval is Student's: mean +- t * s / sqrt(n), with n - 1 degrees of freedom. One seed has none: its spread is not
known, and how its requests spread among themselves says nothing of the next seed.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from pdctl.bench.figures.figures import Figures
from pdctl.bench.figures.metric import METRICS

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Mean:
    """Mean of `count` seeds; the true mean lies within `half` of it with the confidence asked for (None: one seed)."""

    value: float
    half: float | None
    count: int

    @property
    def low(self) -> float | None:
        return None if self.half is None else self.value - self.half

    @property
    def high(self) -> float | None:
        return None if self.half is None else self.value + self.half


def mean(values: Sequence[float], confidence: float = CONFIDENCE) -> Mean | None:
    """None of no values."""
    if not values:
        return None
    middle = statistics.fmean(values)
    if len(values) == 1:
        return Mean(middle, None, 1)
    spread = statistics.stdev(values, middle)
    half = student_t(confidence, len(values) - 1) * spread / math.sqrt(len(values))
    return Mean(middle, half, len(values))


def over_seeds(points: Sequence[Figures], confidence: float = CONFIDENCE) -> dict[str, Mean]:
    """Every metric that all of `points` have, by its name in METRICS. They are seeds of one point: not checked."""
    found = {name: [metric.of(figures) for figures in points] for name, metric in METRICS.items()}
    means = {name: mean([value for value in values if value is not None], confidence) for name, values in found.items()}
    return {name: seen for name, seen in means.items() if seen is not None and seen.count == len(points)}


def student_t(confidence: float, freedom: int) -> float:
    """The t with which |T| <= t has the probability `confidence`, by bisection; `freedom` degrees, at least 1."""
    low, high = 0.0, 1.0
    while _central(high, freedom) < confidence:
        high *= 2.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _central(middle, freedom) < confidence else (low, middle)
    return high


def _central(t: float, freedom: int) -> float:
    """P(|T| <= t): the finite sums of Abramowitz and Stegun, 26.7.3 (odd) and 26.7.4 (even)."""
    angle = math.atan2(t, math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    if freedom == 1:
        return 2 * angle / math.pi
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = term
    for step in range(2 + odd, freedom - 1, 2):
        term *= cosine * cosine * (step - 1) / step
        total += term
    return (angle + sine * total) * 2 / math.pi if odd else sine * total
