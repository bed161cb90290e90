"""Scores that compare with Narwhal's: attainment of offered requests by cause of each miss, and goodput at 90 %. Pure.

A request is met if it has no error, all the tokens that were asked for, TTFT and mean TPOT within the targets; an
answer of fewer than two tokens has no TPOT and does not miss it (`narwhal-bench`, its `score`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from pdctl.bench.row import Row
from pdctl.model.deployment import Slo
from pdctl.model.outcome import Outcome
from pdctl.perf.stations import Moved

TARGET = 0.90


class Verdict(StrEnum):
    """How a request stood to its targets; the first that applies."""

    REFUSED = "refused"
    ERROR = "error"
    SHORT = "short"
    BOTH = "ttft+tpot"
    TTFT = "ttft"
    TPOT = "tpot"
    MET = "met"


@dataclass(frozen=True, slots=True)
class Score:
    """`attainment`: met of all that were offered. `served_attainment`: met of those that were not refused, which is
    what that peer's `narwhal-report` gives; never compare it without the count of refusals."""

    verdicts: Mapping[Verdict, int]

    @property
    def offered(self) -> int:
        return sum(self.verdicts.values())

    @property
    def met(self) -> int:
        return self.verdicts.get(Verdict.MET, 0)

    @property
    def attainment(self) -> float:
        return self.met / self.offered if self.offered else 0.0

    @property
    def served_attainment(self) -> float:
        served = self.offered - self.verdicts.get(Verdict.REFUSED, 0)
        return self.met / served if served else 0.0


def verdict(row: Row, slo: Slo) -> Verdict:
    """`slo.itl_s` is the target of mean TPOT."""
    if row.outcome is Outcome.REFUSED:
        return Verdict.REFUSED
    if not row.ok:
        return Verdict.ERROR
    if row.tokens < row.osl:
        return Verdict.SHORT
    slow_start = row.ttft_s is None or row.ttft_s > slo.ttft_s
    slow_pace = row.tpot_s is not None and row.tpot_s > slo.itl_s
    if slow_start and slow_pace:
        return Verdict.BOTH
    if slow_start:
        return Verdict.TTFT
    return Verdict.TPOT if slow_pace else Verdict.MET


def score(rows: Iterable[Row], slo: Slo) -> Score:
    """The score of one run, or of one phase of it."""
    return Score(Counter(verdict(row, slo) for row in rows))


def goodput_rate(attainments: Mapping[float, float], target: float = TARGET) -> float | None:
    """The highest offered rate whose attainment reaches `target`; None: no rate does."""
    return max((rate for rate, attainment in attainments.items() if attainment >= target), default=None)


def held_at(rows: Iterable[Row], at_s: float, engine: str | None = None) -> int:
    """Requests in flight at `at_s`: all, or those that `engine` was prefill or decode instance of."""
    return sum(
        row.sent_s <= at_s < row.sent_s + row.e2el_s and (engine is None or engine in (row.prefill, row.decode))
        for row in rows
    )


def in_flight_at_moves(rows: Iterable[Row], moves: Iterable[Moved]) -> list[int]:
    """For each move, how many requests its engine held then; where no answer names instances, how many there were."""
    known = list(rows)
    named = any(row.prefill or row.decode for row in known)
    return [held_at(known, move.at_s, move.engine if named else None) for move in moves]
