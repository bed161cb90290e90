"""One split under one workload: what the model predicts, and how far it may be off."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from pdctl.advisor.split import Split
from pdctl.model.deployment import Slo
from pdctl.perf.outcome import RunFigures, attained, figures
from pdctl.perf.profile import ModelError
from pdctl.perf.simulate import simulate
from pdctl.perf.workload import Workload


@dataclass(frozen=True, slots=True)
class Estimate:
    """A predicted figure, and how far it may be off either way: the model's own error and the spread over seeds."""

    value: float
    off: float

    @property
    def low(self) -> float:
        return max(0.0, self.value - self.off)

    @property
    def high(self) -> float:
        return self.value + self.off


@dataclass(frozen=True, slots=True)
class Predicted:
    """Seconds and tokens per second as `vllm bench serve` defines them; `attainment` is the share of requests within
    both targets, `goodput` those per second."""

    split: Split
    ttft_median_s: Estimate
    ttft_p99_s: Estimate
    itl_p99_s: Estimate
    e2el_median_s: Estimate
    tokens_per_s: Estimate
    attainment: Estimate
    goodput_per_s: Estimate


def predict(split: Split, workloads: Sequence[Workload], slo: Slo, error: ModelError) -> Predicted:
    """The mean over `workloads`, which are one offer drawn with several seeds."""
    runs = [simulate(split.layout, workload, seed=seed) for seed, workload in enumerate(workloads)]
    found = [figures(run) for run in runs]
    shares = [attained(run, slo) for run in runs]
    rates = [len(run.flights) / one.duration_s for run, one in zip(runs, found, strict=True)]
    attainment = _estimate(shares, absolute=error.attainment)
    rate = statistics.fmean(rates)
    return Predicted(
        split,
        _of(found, "ttft_median_s", error.e2el),
        _of(found, "ttft_p99_s", error.e2el),
        _of(found, "itl_p99_s", error.itl_p99),
        _of(found, "e2el_median_s", error.e2el),
        _of(found, "tokens_per_s", error.tokens_per_s),
        Estimate(attainment.value, min(attainment.off, max(attainment.value, 1 - attainment.value))),
        Estimate(attainment.value * rate, attainment.off * rate if rate else 0.0),
    )


def _of(found: Sequence[RunFigures], name: str, relative: float) -> Estimate:
    return _estimate([getattr(one, name) for one in found], relative=relative)


def _estimate(values: Sequence[float], *, relative: float = 0.0, absolute: float = 0.0) -> Estimate:
    """The two errors do not know of each other: their squares add."""
    mean = statistics.fmean(values)
    spread = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
    own = mean * relative if mean else 0.0
    return Estimate(mean, math.sqrt(own**2 + absolute**2 + spread**2))
