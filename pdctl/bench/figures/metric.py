"""The figures by which points are compared: how each is called, in what unit, and which way is better."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pdctl.bench.figures.figures import Figures
from pdctl.bench.figures.spread import Spread


@dataclass(frozen=True, slots=True)
class Metric:
    """`of` gives the value in `unit`, or None where a point has none."""

    name: str
    title: str
    unit: str
    higher_is_better: bool
    of: Callable[[Figures], float | None]


def _spread(pick: Callable[[Figures], Spread | None], field: str, scale: float) -> Callable[[Figures], float | None]:
    def value(figures: Figures) -> float | None:
        seen = pick(figures)
        return None if seen is None else getattr(seen, field) * scale

    return value


_ALL = (
    Metric("e2el", "median E2EL", "s", False, _spread(lambda seen: seen.e2el, "median_s", 1.0)),
    Metric("tps", "total throughput", "tokens/s", True, lambda seen: seen.tps_total),
    Metric("itl-p99", "P99 ITL", "ms", False, _spread(lambda seen: seen.itl, "p99_s", 1e3)),
    Metric("ttft", "median TTFT", "ms", False, _spread(lambda seen: seen.ttft, "median_s", 1e3)),
    Metric("ttft-p99", "P99 TTFT", "ms", False, _spread(lambda seen: seen.ttft, "p99_s", 1e3)),
    Metric("tpot", "median TPOT", "ms", False, _spread(lambda seen: seen.tpot, "median_s", 1e3)),
    Metric("output-tps", "output throughput", "tokens/s", True, lambda seen: seen.tps_out),
    Metric("requests", "requests", "1/s", True, lambda seen: seen.requests_per_s),
    Metric("attainment", "SLO attainment", "", True, lambda seen: seen.goodput.attainment if seen.goodput else None),
    Metric("goodput", "goodput", "1/s", True, lambda seen: seen.goodput.requests_per_s if seen.goodput else None),
    Metric("tpsu", "TPSU", "tokens/s", True, lambda seen: seen.tpsu),
    Metric("tpsg", "TPSG", "tokens/s", True, lambda seen: seen.tpsg),
    Metric("tokens-per-usd", "tokens per dollar", "", True, lambda seen: seen.tokens_per_usd),
)
METRICS: Mapping[str, Metric] = {metric.name: metric for metric in _ALL}
MOREH = ("e2el", "tps", "itl-p99")
"""What Moreh's report compares."""
