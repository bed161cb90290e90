"""A request as reports need it: its latencies without its gaps, so that a run of any size fits into memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from pdctl.bench.figures.figures import Criterion
from pdctl.bench.figures.verdict import CountedFrom, p99_itl_s, ttft_s
from pdctl.bench.row import Row
from pdctl.model.deployment import Slo
from pdctl.model.outcome import Outcome


class Verdict(StrEnum):
    """What became of a request by its targets; only MET counts for goodput."""

    MET = "met"
    TTFT = "ttft"
    ITL = "itl"
    BOTH = "both"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Request:
    """`index` within its point; `line`: of the file of rows, counted from 1. `itl_s` is the 99th percentile of its own
    gaps, `tpot_s` their mean; None of an answer of one token. `error` is one line of remote text."""

    index: int
    line: int
    outcome: Outcome
    ttft_s: float | None
    itl_s: float | None
    tpot_s: float | None
    tokens: int
    error: str = ""

    def verdict(self, slo: Slo, criterion: Criterion) -> Verdict:
        """Which target it missed; MET exactly where `figures.verdict.met` says so."""
        if self.outcome.failed:
            return Verdict.FAILED
        pace_s = self.tpot_s if criterion is Criterion.TPOT else self.itl_s
        late = self.ttft_s is None or self.ttft_s > slo.ttft_s
        slow = pace_s is not None and pace_s > slo.itl_s
        if late and slow:
            return Verdict.BOTH
        return Verdict.TTFT if late else Verdict.ITL if slow else Verdict.MET


def requests(rows: Iterable[Row], counted_from: CountedFrom = "sent") -> tuple[Request, ...]:
    """Of rows in the order of their file; in the order in which the requests were offered."""
    found = [
        Request(
            row.index,
            line,
            row.outcome,
            ttft_s(row, counted_from),
            p99_itl_s(row),
            row.tpot_s,
            row.tokens,
            row.refusal or row.error,
        )
        for line, row in enumerate(rows, 1)
    ]
    return tuple(sorted(found, key=lambda each: each.index))
