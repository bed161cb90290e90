"""An advice as lines of text: the answer first, then the ranking, the reasons, the cost of going there, the priors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from textwrap import wrap

from pdctl.advisor.advise import Answer
from pdctl.advisor.payback import Payback
from pdctl.advisor.predict import Estimate, Predicted
from pdctl.advisor.rank import Objective
from pdctl.text.duration import duration

HEADS = ("split", "attained", "good req/s", "TTFT p50", "TTFT p99", "ITL p99", "E2EL p50", "tok/s")


def advice_lines(answer: Answer) -> list[str]:
    """Everything that is to be said of it, at most 100 columns wide but for the reasons."""
    question = answer.question
    slo = question.slo
    lines = [
        f"{question.source}; targets: TTFT {_seconds(slo.ttft_s)}, a request's own ITL p99 {_seconds(slo.itl_s)}",
        "",
        answer.verdict,
        "",
        *_table(answer),
        "",
        *(f"{words}: {line}" for words, line in answer.lines),
    ]
    if going := going_lines(answer):
        lines += ["", *going]
    lines += ["", *_error(answer)]
    if answer.priors:
        lines += ["", "rules of thumb that would apply (priors, not measurements of this fleet):"]
        for prior in answer.priors:
            lines.append(f"  {prior.leaning}: {prior.says} [{prior.source}]")
            if prior.disagrees:
                lines.append(f"    {prior.disagrees}")
    return lines


def going_lines(answer: Answer) -> tuple[str, ...]:
    """Whether to stay or what it costs to go where it is better; nothing where the present split is not ranked."""
    best, now = answer.ranking.best, answer.now
    if now is None:
        return ()
    if now is best:
        return (f"you have {best.split.words}: stay",)
    if now.split.words in answer.ranking.close:
        return (f"you have {now.split.words}, which cannot be told from the best: stay",)
    return tuple(_cost(now, answer.cost, answer.goal)) if answer.cost is not None else ()


def predicted_with(answer: Answer) -> str:
    """What the prediction rests on, and what its error means."""
    seeds = len(answer.question.workloads)
    draws = "1 draw" if seeds == 1 else f"{seeds} draws"
    return (
        f"predicted with {', '.join(answer.profiles)}, {draws} of {len(answer.question.workloads[0].asked)} requests; "
        "± is the model's own error on runs that it was not fitted to, and the spread over the draws"
    )


def _table(answer: Answer) -> Iterator[str]:
    rows = [HEADS, *(row_cells(each) for each in answer.ranking.order)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(HEADS))]
    close = {answer.ranking.best.split.words, *answer.ranking.close} if answer.ranking.close else set()
    for number, row in enumerate(rows):
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        mark = "≈" if row[0] in close else "*" if number == 1 else " "
        here = "  <- now" if number and answer.now is answer.ranking.order[number - 1] else ""
        yield f"{mark} {'  '.join(cells)}{here}".rstrip()


def row_cells(predicted: Predicted) -> tuple[str, ...]:
    """The figures of one split, under HEADS."""
    return (
        predicted.split.words,
        f"{predicted.attainment.value:.0%}{_off(predicted.attainment.off, percent=True)}",
        f"{predicted.goodput_per_s.value:.3g}",
        _seconds(predicted.ttft_median_s.value),
        _seconds(predicted.ttft_p99_s.value),
        _seconds(predicted.itl_p99_s.value),
        _with_error(predicted.e2el_median_s),
        f"{predicted.tokens_per_s.value:,.0f}",
    )


def _cost(now: Predicted, cost: Payback, best: Predicted) -> Iterator[str]:
    going = f"from {now.split.words} to {best.split.words}"
    if cost.refused:
        yield f"{going}: {cost.refused}"
        return
    moves = "1 move" if cost.moves == 1 else f"{cost.moves} moves, one after another"
    yield f"{going}: {moves}, about {duration(cost.takes_s)}, {cost.lost_requests:.0f} good requests missed meanwhile"
    if cost.after_s is None:
        yield f"it does not pay: the gain of {cost.gain_per_s:.3g} good requests/s is within the model's error"
    else:
        yield f"it pays back {duration(cost.after_s)} after the start, if the traffic stays as it is"


def _error(answer: Answer) -> Iterator[str]:
    yield from wrap(predicted_with(answer), 100)
    for note in answer.notes:
        yield f"  note: {note}"
    if answer.ranking.objective is not Objective.GOODPUT:
        yield f"  ranked by {answer.ranking.objective}"


def _with_error(estimate: Estimate) -> str:
    return f"{_seconds(estimate.value)}{_off(estimate.off / estimate.value, percent=True) if estimate.value else ''}"


def _off(off: float, *, percent: bool) -> str:
    if math.isinf(off):
        return " ±?"
    return f" ±{off * (100 if percent else 1):.0f}"


def _seconds(value: float) -> str:
    return f"{value * 1e3:.0f}ms" if value < 1 else f"{value:.3g}s"
