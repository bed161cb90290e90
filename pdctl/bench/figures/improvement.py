"""Two deployments over the same loads: how much better one is, load by load, and the geometric mean. Pure.

As Moreh's report: latencies as old over new, rates as new over old, so that above 1 is better; and the geometric mean
over the loads.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pdctl.bench.figures.figures import Figures
from pdctl.bench.figures.metric import Metric
from pdctl.bench.figures.seeds import CONFIDENCE, mean

LoadKey = tuple[str, str]
"""Scenario and load of a point."""
Seeds = Mapping[int, Figures]
"""The figures of one point by seed."""


@dataclass(frozen=True, slots=True)
class Improvement:
    """`ratio` above 1: `other` is better than `base`. `low`, `high`: its interval of confidence, from the seeds that
    both were measured with (None: fewer than two, so nothing is known of it). `base`, `other`: means over those."""

    key: LoadKey
    base: float
    other: float
    ratio: float
    low: float | None
    high: float | None
    seeds: int

    @property
    def certain(self) -> bool | None:
        """Whether the interval leaves 1 out; None: there is none."""
        return None if self.low is None or self.high is None else not self.low <= 1.0 <= self.high


@dataclass(frozen=True, slots=True)
class Comparison:
    """`missing`: loads of which one side, or one seed in common, has no value."""

    metric: str
    rows: tuple[Improvement, ...]
    geometric_mean: float | None
    missing: tuple[LoadKey, ...] = ()


def ratio(base: float, other: float, *, higher_is_better: bool) -> float | None:
    """How many times better `other` is; None where either is not positive."""
    if base <= 0 or other <= 0:
        return None
    return other / base if higher_is_better else base / other


def geometric_mean(ratios: Iterable[float]) -> float | None:
    """None of no ratios."""
    logs = [math.log(each) for each in ratios]
    return math.exp(math.fsum(logs) / len(logs)) if logs else None


def compare(
    base: Mapping[LoadKey, Seeds], other: Mapping[LoadKey, Seeds], metric: Metric, confidence: float = CONFIDENCE
) -> Comparison:
    """`other` against `base` by `metric`, load by load in the order of `base`, then those that `other` alone has.

    Seeds are paired: one seed offers both sides the same requests, so their ratio holds less chance than either side.
    """
    rows, missing = [], []
    for key in dict.fromkeys([*base, *other]):
        found = _improvement(key, base.get(key, {}), other.get(key, {}), metric, confidence)
        if found is None:
            missing.append(key)
        else:
            rows.append(found)
    return Comparison(metric.name, tuple(rows), geometric_mean(row.ratio for row in rows), tuple(missing))


def _improvement(key: LoadKey, base: Seeds, other: Seeds, metric: Metric, confidence: float) -> Improvement | None:
    pairs = [(metric.of(base[seed]), metric.of(other[seed])) for seed in sorted(base.keys() & other.keys())]
    known = [(old, new) for old, new in pairs if old is not None and new is not None]
    better = [ratio(old, new, higher_is_better=metric.higher_is_better) for old, new in known]
    logs = [math.log(each) for each in better if each is not None]
    if not logs or len(logs) < len(pairs):
        return None
    return _row(key, known, logs, confidence)


def _row(key: LoadKey, known: Sequence[tuple[float, float]], logs: Sequence[float], confidence: float) -> Improvement:
    middle = mean(logs, confidence)
    assert middle is not None
    return Improvement(
        key=key,
        base=math.fsum(old for old, _ in known) / len(known),
        other=math.fsum(new for _, new in known) / len(known),
        ratio=math.exp(middle.value),
        low=None if middle.low is None else math.exp(middle.low),
        high=None if middle.high is None else math.exp(middle.high),
        seeds=len(logs),
    )
