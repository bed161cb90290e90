"""How good the model is on the published tables: errors of the held-out rows, winners, and which targets they meet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pdctl.perf.profile import ModelError
from pdctl.perf.published_mori import Attained
from pdctl.perf.published_r1 import Contest, MeanMax, Said, Verdict, calibrates, contests, mean_max


@dataclass(frozen=True, slots=True)
class Margins:
    """From what improvement on the model calls a winner: its own mean error of that improvement. Two splits share most
    of their errors, so they are told apart at less than a split and colocated serving are."""

    splits: float
    colocated: float

    def of(self, contest: Contest) -> float:
        return self.colocated if contest.with_colocated else self.splits


def margins(fought: Sequence[Contest]) -> Margins:
    """From comparisons that were held out, some of them of each kind."""
    return Margins(
        mean_max(each.ratio_error for each in fought if not each.with_colocated).mean,
        mean_max(each.ratio_error for each in fought if each.with_colocated).mean,
    )


@dataclass(frozen=True, slots=True)
class Score:
    """Of a set of rows. `itl_p99` is None where none of them has one, `ratio` where no two share a load."""

    e2el: MeanMax
    tokens: MeanMax
    itl_p99: MeanMax | None
    ratio: MeanMax | None


def score(said: Sequence[Said], fought: Sequence[Contest]) -> Score:
    """Errors of these rows, and of the improvements between them."""
    itl = [row.itl_error for row in said if row.itl_error is not None]
    return Score(
        mean_max(row.e2el_error for row in said),
        mean_max(row.tokens_error for row in said),
        mean_max(itl) if itl else None,
        mean_max(each.ratio_error for each in fought) if fought else None,
    )


@dataclass(frozen=True, slots=True)
class Winners:
    """Verdicts on loads whose published winner is clear, and on those that are ties."""

    clear_right: int
    clear_close: int
    clear_wrong: int
    tie_close: int
    tie_right: int
    tie_wrong: int

    @property
    def clear(self) -> int:
        return self.clear_right + self.clear_close + self.clear_wrong

    @property
    def ties(self) -> int:
        return self.tie_close + self.tie_right + self.tie_wrong


def winners(fought: Iterable[Contest], margin: Margins) -> Winners:
    """Who is called, and whether rightly."""
    clear = dict.fromkeys(Verdict, 0)
    tie = dict.fromkeys(Verdict, 0)
    for each in fought:
        (clear if each.told_apart else tie)[each.verdict(margin.of(each))] += 1
    return Winners(
        clear[Verdict.RIGHT],
        clear[Verdict.CLOSE],
        clear[Verdict.WRONG],
        tie[Verdict.CLOSE],
        tie[Verdict.RIGHT],
        tie[Verdict.WRONG],
    )


@dataclass(frozen=True, slots=True)
class Check:
    """One target: `value` must not be above `limit`."""

    name: str
    value: float
    limit: float

    @property
    def met(self) -> bool:
        return self.value <= self.limit


def held_out(said: Sequence[Said]) -> tuple[list[Said], list[Contest]]:
    """The rows that the constants were not fitted on, and the comparisons in which one of them is."""
    return [row for row in said if not calibrates(row.row)], [each for each in contests(said) if not each.calibrated]


def checks_r1(said: Sequence[Said]) -> tuple[Check, ...]:
    """The held-out rows against what they should come to; errors as shares, the rest as counts."""
    rows, fought = held_out(said)
    found, won = score(rows, fought), winners(contests(said), margins(fought))
    assert found.itl_p99 is not None
    assert found.ratio is not None
    return (
        Check("E2EL, mean error", found.e2el.mean, 0.06),
        Check("E2EL, largest error", found.e2el.max, 0.15),
        Check("TPS, mean error", found.tokens.mean, 0.06),
        Check("TPS, largest error", found.tokens.max, 0.15),
        Check("P99 ITL, mean error", found.itl_p99.mean, 0.10),
        Check("improvement ratio, mean error", found.ratio.mean, 0.05),
        Check("clear winners not called", won.clear_close + won.clear_wrong, 0),
        Check("ties called for the other side", won.tie_wrong, 0),
        Check("ties called at all", won.tie_right + won.tie_wrong, 0),
    )


def check_mori(points: Sequence[Attained]) -> Check:
    """The largest miss, in requests of 100."""
    return Check("MORI-IO attainment, largest miss of 100", max(abs(each.off) for each in points), 6)


def model_error(said: Sequence[Said]) -> ModelError:
    """Mean held-out errors, which advice takes for its own."""
    found = score(*held_out(said))
    assert found.itl_p99 is not None
    assert found.ratio is not None
    return ModelError(found.e2el.mean, found.tokens.mean, found.itl_p99.mean, found.ratio.mean)
