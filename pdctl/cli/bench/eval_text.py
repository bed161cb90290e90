"""An evaluation as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pdctl.bench.accuracy.compare import Compared, Verdict, overall
from pdctl.bench.accuracy.scores import Evaluation, Score
from pdctl.text.escape import one_line


def score_lines(now: Evaluation) -> Iterator[str]:
    """Without a baseline."""
    width = _width(now.scores)
    for score in now.scores:
        yield f"{_name(score):{width}}  {_figure(score):>18}{_samples(score)}"


def compared_lines(compared: Sequence[Compared], lost: Sequence[Score], before: Evaluation) -> Iterator[str]:
    """Beside a baseline, with the verdict of the whole at the end. `lost`: what only the baseline has."""
    width = _width([each.now for each in compared])
    yield f"baseline: {one_line(before.deployment)}, {one_line(before.taken)}"
    for each in compared:
        base = "-" if each.before is None else _figure(each.before)
        change = "" if each.difference is None else f"{each.difference:+.4f}"
        change += "" if each.stderr is None else f" ± {each.stderr:.4f}"
        line = f"{_name(each.now):{width}}  {_figure(each.now):>18}  was {base:>18}  {change:>18}  {each.verdict}"
        yield line + (f" ({one_line(each.why)})" if each.why else "") + _samples(each.now)
    for score in lost:
        yield f"{_name(score):{width}}  not evaluated now; was {_figure(score)}"
    verdict = overall(compared)
    yield {
        Verdict.SAME: "as good as the baseline",
        Verdict.BETTER: "better than the baseline, and nothing worse",
        Verdict.WORSE: "WORSE than the baseline",
        Verdict.UNSURE: "cannot tell whether it is as good as the baseline",
    }[verdict]


def _name(score: Score) -> str:
    return one_line(f"{score.task} {score.metric}" + ("" if score.filter == "none" else f" ({score.filter})"))


def _width(scores: Sequence[Score]) -> int:
    return max((len(_name(score)) for score in scores), default=0)


def _figure(score: Score) -> str:
    return f"{score.value:.4f}" + ("" if score.stderr is None else f" ± {score.stderr:.4f}")


def _samples(score: Score) -> str:
    return "" if score.samples is None else f"  n={score.samples}"
