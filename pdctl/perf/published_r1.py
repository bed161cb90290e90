"""Moreh's tables against the model: what it says of every row, how far off that is, and which layout it lets win."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pdctl.perf.outcome import figures
from pdctl.perf.published import R1Row, r1_layout, r1_load, r1_rows
from pdctl.perf.simulate import simulate
from pdctl.perf.step_time import StepConstants

SEEDS = range(10)
"""Where requests land is drawn; what is said of a row is the mean over these draws."""

TOLD_APART = 0.03
"""Published gaps up to 3 % are ties: repeats of one run differ by as much."""


def calibrates(row: R1Row) -> bool:
    """Whether the constants are fitted on this row; every other one is held out."""
    return row.scenario in ("1K/1K", "8K/1K") and row.concurrency == 320 and row.layout in ("5M", "2P3D")


@dataclass(frozen=True, slots=True)
class Said:
    """What the model says of one row. Errors are shares of what was published, signed."""

    row: R1Row
    e2el_s: float
    tokens_per_s: float
    itl_p99_s: float

    @property
    def e2el_error(self) -> float:
        return self.e2el_s / self.row.e2el_s - 1

    @property
    def tokens_error(self) -> float:
        return self.tokens_per_s / self.row.tokens_per_s - 1

    @property
    def itl_error(self) -> float | None:
        return self.itl_p99_s / self.row.itl_p99_s - 1 if self.row.itl_p99_s else None

    def residuals(self) -> list[float]:
        """log(said / published) of each published figure."""
        errors = (self.e2el_error, self.tokens_error, self.itl_error)
        return [math.log1p(error) for error in errors if error is not None]


def say(row: R1Row, constants: StepConstants, seeds: Sequence[int] = SEEDS) -> Said:
    """Play one row. The tool's duration counts from its start, a little before the first request."""
    e2el, tokens, itl = [], [], []
    load = r1_load(row)
    for seed in seeds:
        run = simulate(r1_layout(row.layout, constants), load, seed=seed)
        one = figures(run)
        e2el.append(one.e2el_median_s)
        itl.append(one.itl_p99_s)
        tokens.append(row.requests * (row.isl + row.osl) / max(flight.done_s or 0.0 for flight in run.flights))
    return Said(row, statistics.fmean(e2el), statistics.fmean(tokens), statistics.fmean(itl))


def say_all(
    constants: StepConstants,
    rows: Iterable[R1Row] | None = None,
    *,
    seeds: Sequence[int] = SEEDS,
    on_row: Callable[[Said], None] = lambda said: None,
) -> tuple[Said, ...]:
    """Every row, or those given; `on_row` hears of each as it is done."""
    done = []
    for row in r1_rows() if rows is None else rows:
        done.append(say(row, constants, seeds))
        on_row(done[-1])
    return tuple(done)


@dataclass(frozen=True, slots=True)
class MeanMax:
    """Of absolute errors, as shares."""

    mean: float
    max: float
    count: int


def mean_max(errors: Iterable[float]) -> MeanMax:
    """Raises ValueError of none."""
    sizes = [abs(error) for error in errors]
    if not sizes:
        raise ValueError("no errors")
    return MeanMax(statistics.fmean(sizes), max(sizes), len(sizes))


class Metric(StrEnum):
    """By what two layouts are compared."""

    E2EL = "E2EL"
    TPS = "TPS"


class Verdict(StrEnum):
    """What the model calls, against what was published."""

    RIGHT = "right"
    WRONG = "wrong"
    CLOSE = "too close"


@dataclass(frozen=True, slots=True)
class Contest:
    """Two layouts under one load: by what factor `second` is better than `first`, published and said (1.2: 20 %)."""

    scenario: str
    concurrency: int
    metric: Metric
    first: str
    second: str
    published: float
    said: float
    calibrated: bool

    @property
    def with_colocated(self) -> bool:
        return self.first.endswith("M") or self.second.endswith("M")

    @property
    def ratio_error(self) -> float:
        """Of the improvement, as a share, signed."""
        return self.said / self.published - 1

    @property
    def told_apart(self) -> bool:
        """Whether what was published has a winner at all."""
        return max(self.published, 1 / self.published) - 1 > TOLD_APART

    def verdict(self, margin: float) -> Verdict:
        """`margin`: an improvement smaller than this share is not called."""
        if max(self.said, 1 / self.said) - 1 < margin:
            return Verdict.CLOSE
        return Verdict.RIGHT if (self.said > 1) == (self.published > 1) else Verdict.WRONG


def contests(said: Sequence[Said]) -> tuple[Contest, ...]:
    """Every two layouts that were measured under the same load, by both metrics."""
    return tuple(itertools.chain.from_iterable(_contests(one, other) for one, other in _pairs(said)))


def _pairs(said: Sequence[Said]) -> Iterator[tuple[Said, Said]]:
    for one, other in itertools.combinations(said, 2):
        if (one.row.scenario, one.row.concurrency) == (other.row.scenario, other.row.concurrency):
            yield one, other


def _contests(one: Said, other: Said) -> Iterator[Contest]:
    first, second = one.row, other.row
    both = calibrates(first) and calibrates(second)
    where = (first.scenario, first.concurrency)
    layouts = (first.layout, second.layout)
    yield Contest(*where, Metric.E2EL, *layouts, first.e2el_s / second.e2el_s, one.e2el_s / other.e2el_s, both)
    published, tokens = second.tokens_per_s / first.tokens_per_s, other.tokens_per_s / one.tokens_per_s
    yield Contest(*where, Metric.TPS, *layouts, published, tokens, both)
