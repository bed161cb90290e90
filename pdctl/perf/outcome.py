"""What a simulated run came to, in the figures that benchmarks report."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from pdctl.model.deployment import Slo
from pdctl.perf.engine_run import Flight
from pdctl.perf.simulate import Simulated, quantile


@dataclass(frozen=True, slots=True)
class RunFigures:
    """As `vllm bench serve` defines them: median E2EL over requests, P99 ITL over all gaps, tokens per second of prompt
    and output over the whole duration. TTFT counts from when a request was sent."""

    e2el_median_s: float
    ttft_median_s: float
    ttft_p99_s: float
    itl_mean_s: float
    itl_p99_s: float
    tokens_per_s: float
    duration_s: float


def figures(run: Simulated) -> RunFigures:
    """The figures of a run in which every request ended."""
    e2el = [_span(flight.sent_s, flight.done_s) for flight in run.flights]
    ttft = sorted(_span(flight.sent_s, flight.first_s) for flight in run.flights)
    gaps = [(stretch.step_s, stretch.gaps) for each in run.engines for stretch in each.stretches]
    count = sum(weight for _, weight in gaps)
    began, ended = min(flight.sent_s for flight in run.flights), max(flight.done_s or 0.0 for flight in run.flights)
    return RunFigures(
        e2el_median_s=statistics.median(e2el),
        ttft_median_s=statistics.median(ttft),
        ttft_p99_s=ttft[min(len(ttft) - 1, int(0.99 * len(ttft)))],
        itl_mean_s=sum(step_s * weight for step_s, weight in gaps) / count if count else 0.0,
        itl_p99_s=run.itl_quantile_s(0.99),
        tokens_per_s=sum(flight.isl + flight.osl for flight in run.flights) / (ended - began),
        duration_s=ended - began,
    )


def attained(run: Simulated, slo: Slo) -> float:
    """The share of requests whose TTFT and own P99 ITL are within the targets."""
    met = sum(1 for flight in run.flights if _meets(run, flight, slo))
    return met / len(run.flights)


def _meets(run: Simulated, flight: Flight, slo: Slo) -> bool:
    if _span(flight.sent_s, flight.first_s) > slo.ttft_s:
        return False
    return quantile(run.gaps_s(flight), 0.99) <= slo.itl_s


def _span(begin_s: float, end_s: float | None) -> float:
    if end_s is None:
        raise ValueError("a request of this run has not ended")
    return end_s - begin_s
