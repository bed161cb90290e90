"""What one point came to: the figures that the benchmarks of the field report."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pdctl.bench.figures.spread import Spread
from pdctl.model.outcome import OutcomeCounts


class Criterion(StrEnum):
    """What of a request's tokens must meet the ITL target: its own 99th percentile of gaps, or their mean (TPOT)."""

    P99_ITL = "p99-itl"
    TPOT = "tpot"


@dataclass(frozen=True, slots=True)
class Goodput:
    """Requests that met TTFT and the criterion, of all that were offered: failures and refusals are misses."""

    ttft_s: float
    itl_s: float
    criterion: Criterion
    met: int
    offered: int
    requests_per_s: float
    tokens_per_s: float

    @property
    def attainment(self) -> float:
        return self.met / self.offered if self.offered else 0.0


@dataclass(frozen=True, slots=True)
class Figures:
    """Latencies and rates are those of ok requests. `queued` is the wait at the client for a place under the
    concurrency limit. `tpsu` is output tokens a second of one user (output rate / mean requests in flight; in a
    closed loop that is the concurrency), `tpsg` output tokens a second and GPU. None: not known, or no sample."""

    counts: OutcomeCounts
    duration_s: float
    requests_per_s: float
    tokens_in: int
    tokens_out: int
    tps_in: float
    tps_out: float
    tps_total: float
    ttft: Spread | None
    itl: Spread | None
    tpot: Spread | None
    e2el: Spread | None
    queued: Spread | None
    in_flight_mean: float
    in_flight_peak: int
    goodput: Goodput | None = None
    tpsu: float | None = None
    tpsg: float | None = None
    tokens_per_usd: float | None = None
    warnings: tuple[str, ...] = ()
