"""What a simulated run came to, in the figures that benchmarks report."""

from __future__ import annotations

import itertools
import math
import statistics
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from pdctl.model.deployment import Slo
from pdctl.perf.engine_run import EngineRun, Flight
from pdctl.perf.simulate import Simulated, quantile

_SHARE = 0.99


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
    slow = [_SlowSteps.of(engine, slo.itl_s) for engine in run.engines]
    met = sum(1 for flight in run.flights if _meets(run, slow[flight.decoder], flight, slo))
    return met / len(run.flights)


@dataclass(frozen=True, slots=True)
class _SlowSteps:
    """The steps of one engine that took longer than a gap may: to count them is cheaper than to sort all gaps.

    `first`: where each stretch of them begins; `steps`: its length; `before`: how many there were before it.
    """

    first: Sequence[int]
    steps: Sequence[int]
    before: Sequence[int]

    @classmethod
    def of(cls, engine: EngineRun, itl_s: float) -> _SlowSteps:
        slow = [stretch for stretch in engine.stretches if stretch.step_s > itl_s]
        steps = [stretch.steps for stretch in slow]
        return cls([stretch.first for stretch in slow], steps, [0, *itertools.accumulate(steps)])

    def until(self, step: int) -> int:
        """How many there are before that step."""
        place = bisect_right(self.first, step) - 1
        if place < 0:
            return 0
        return self.before[place] + min(step - self.first[place], self.steps[place])


def _meets(run: Simulated, slow: _SlowSteps, flight: Flight, slo: Slo) -> bool:
    if _span(flight.sent_s, flight.first_s) > slo.ttft_s:
        return False
    gaps = flight.osl - 1
    if not gaps:
        return True
    begin, end = run.gap_steps(flight)
    quick = gaps - (slow.until(end) - slow.until(begin))
    below = math.floor(_SHARE * (gaps - 1) + 1e-9)
    if min(below + 1, gaps - 1) < quick:
        return True
    # Between a quick and a slow gap it is the place between them that decides.
    return below < quick and quantile(run.gaps_s(flight), _SHARE) <= slo.itl_s


def _span(begin_s: float, end_s: float | None) -> float:
    if end_s is None:
        raise ValueError("a request of this run has not ended")
    return end_s - begin_s
