"""Whether scores differ from a baseline's by more than chance. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pdctl.bench.accuracy.scores import Evaluation, Score

CONFIDENT = 1.96
"""Combined standard errors that a difference must exceed: 95 %, two-sided."""

MARGIN = 0.03
"""The smallest difference worth knowing of: three points of accuracy."""


class Verdict(StrEnum):
    """`SAME`: no difference, and one of the margin would have shown. `UNSURE`: there are too few samples to say."""

    SAME = "same"
    WORSE = "worse"
    BETTER = "better"
    UNSURE = "cannot tell"


@dataclass(frozen=True, slots=True)
class Compared:
    """`difference` is now minus before; `stderr` that of the difference; `needs`: samples on each side that would
    tell a difference of the margin, None where that cannot be said. `why` says why there is no verdict."""

    now: Score
    before: Score | None
    difference: float | None
    stderr: float | None
    verdict: Verdict
    why: str = ""
    needs: int | None = None


def compare(now: Evaluation, before: Evaluation, *, margin: float = MARGIN) -> tuple[Compared, ...]:
    """Every score of `now` beside its own of `before`, and then those that only the baseline has.

    The standard errors of both are combined as of independent samples. They saw the same questions, so the true error
    of the difference is rather smaller: what is called different is, what is called unsure might be the same.
    """
    known = {score.key: score for score in before.scores}
    compared = [_compared(score, known.get(score.key), now, before, margin) for score in now.scores]
    return tuple(compared)


def missing(now: Evaluation, before: Evaluation) -> tuple[Score, ...]:
    """Scores that the baseline has and this evaluation does not."""
    keys = {score.key for score in now.scores}
    return tuple(score for score in before.scores if score.key not in keys)


def overall(compared: Sequence[Compared]) -> Verdict:
    """The worst news of all."""
    verdicts = {each.verdict for each in compared}
    order = (Verdict.WORSE, Verdict.UNSURE, Verdict.BETTER, Verdict.SAME)
    return next((verdict for verdict in order if verdict in verdicts), Verdict.UNSURE)


def _compared(score: Score, base: Score | None, now: Evaluation, before: Evaluation, margin: float) -> Compared:
    if base is None:
        return Compared(score, None, None, None, Verdict.UNSURE, "the baseline has none")
    difference = score.value - base.value
    if why := _unlike(score, base, now, before):
        return Compared(score, base, difference, None, Verdict.UNSURE, why)
    errors = (standard_error(score), standard_error(base))
    if errors[0] is None or errors[1] is None:
        return Compared(score, base, difference, None, Verdict.UNSURE, "lm-eval gives no standard error of it")
    stderr = math.hypot(errors[0], errors[1])
    worth = margin if _is_share(score) and _is_share(base) else margin * abs(base.value)
    if abs(difference) > CONFIDENT * stderr:
        gained = (difference > 0.0) == score.higher_is_better
        return Compared(score, base, difference, stderr, Verdict.BETTER if gained else Verdict.WORSE)
    if CONFIDENT * stderr <= worth:
        return Compared(score, base, difference, stderr, Verdict.SAME)
    needs = _needs(score, base, stderr, worth)
    few = f"too few samples for a difference of {worth:.3g}" + (f": about {needs} are needed" if needs else "")
    return Compared(score, base, difference, stderr, Verdict.UNSURE, few, needs)


def _unlike(score: Score, base: Score, now: Evaluation, before: Evaluation) -> str:
    """Why two scores are not of the same thing; "" where they are."""
    if score.shots != base.shots:
        return f"{score.shots}-shot now, {base.shots}-shot in the baseline"
    if score.version != base.version:
        return f"version {score.version} of the task now, {base.version} in the baseline"
    if now.chat != before.chat:
        return "one was asked through the chat endpoint, the other was not"
    return ""


def standard_error(score: Score) -> float | None:
    """lm-eval's own; of a share that is exactly 0 or 1, whose sample variance is 0 whatever its size, that of Agresti
    and Coull's interval (two successes and two failures added)."""
    if score.stderr is None or not math.isfinite(score.stderr):
        return None
    if score.stderr > 0.0:
        return score.stderr
    if not _is_share(score) or not score.samples:
        return None
    size = score.samples + 4
    share = (score.value * score.samples + 2) / size
    return math.sqrt(share * (1.0 - share) / size)


def _is_share(score: Score) -> bool:
    return 0.0 <= score.value <= 1.0


def _needs(score: Score, base: Score, stderr: float, worth: float) -> int | None:
    """Errors fall with the root of the samples."""
    if not score.samples or not base.samples or worth <= 0.0:
        return None
    return math.ceil(min(score.samples, base.samples) * (CONFIDENT * stderr / worth) ** 2)
