"""The Advisor in lines: what is asked for, the answer and its price, the ranking, why, and what it rests on. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pdctl.advisor.observed import Observed
from pdctl.advisor.rank import Objective
from pdctl.errors import PdctlError
from pdctl.text.advice import HEADS
from pdctl.text.duration import duration
from pdctl.tui.advising import Advice, SplitRow
from pdctl.tui.spans import EMPTY, Ink, Inked, Span, cell, cut, justified, width, wrapped

GAP: Final = 2
DROPPED: Final = ("TTFT p50", "tok/s", "good req/s", "TTFT p99")
"""Columns that a narrow screen goes without, the first one first."""
NOW: Final = "  ← now"
DENSE: Final = 90
"""Below so many columns, no line is left blank between what belongs together."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """The last advice and when it was given; since when another is being worked out (None: none is); why there is no
    newer one ("" where there is). Times are wall clock."""

    advice: Advice | None = None
    given_s: float | None = None
    began_s: float | None = None
    refusal: PdctlError | None = None


@dataclass(frozen=True, slots=True)
class AdvisorView:
    """What the screen knows. `typed`: a workload in the place of the observed one, "" for that. `thin`: why the traffic
    is not known, or nothing can be asked. `answered`: the ranking is of what is asked for now. `move`: what `m` does.
    """

    typed: str
    objective: Objective
    traffic: Observed | None
    thin: PdctlError | None
    measured: tuple[str, ...]
    ranking: Ranking
    answered: bool
    move: str
    now_s: float


def advisor_lines(view: AdvisorView, columns: int) -> list[Inked]:
    """For a screen so wide; as many lines as it takes. Narrow ones are low, too: blank lines are left out."""
    gap = [] if columns < DENSE else [EMPTY]
    lines = [*_workload(view, columns), *gap]
    ranking = view.ranking
    refusal = view.thin or ranking.refusal
    if refusal is not None:
        lines += [*_refused(refusal, columns, asked=view.thin is None), EMPTY]
    advice = ranking.advice
    if advice is None:
        if refusal is None:
            lines.append((Span("working it out" if ranking.began_s is not None else "not ranked yet", Ink.DIM),))
        return lines
    if refusal is not None or not view.answered:
        lines += _wrapped(f"what was ranked before, {advice.source}:", columns, Ink.DIM)
    lines += _answer(advice, view.move if refusal is None else "", columns)
    lines += [
        *gap,
        *_table(advice, view.measured, columns, live="observed" if view.typed else "live"),
        *gap,
        *_reasons(advice, columns),
        EMPTY,
    ]
    return [*lines, *_rests_on(advice, columns)]


def _workload(view: AdvisorView, columns: int) -> Iterator[Inked]:
    """What is asked for, how old the ranking is, and what it is ranked by."""
    age: Inked = (Span(_age(view), Ink.DIM),)
    observed = view.traffic.words if view.traffic is not None else "not enough to go by"
    shown: Inked = (Span("OBSERVED ", Ink.TITLE), Span(observed))
    if view.typed:
        shown = (Span("WHAT IF  ", Ink.TITLE), Span(view.typed, Ink.BOLD))
    yield justified(cut(shown, columns - width(age) - 2), age, columns)
    yield cut((Span(f"{' ' * 9}{'; '.join(_terms(view, observed))}", Ink.DIM),), columns)


def _terms(view: AdvisorView, observed: str) -> Iterator[str]:
    advice, traffic = view.ranking.advice, view.traffic
    yield f"by {view.objective}"
    if advice is not None and view.answered:
        yield f"TTFT {_seconds(advice.slo.ttft_s)}, own ITL p99 {_seconds(advice.slo.itl_s)}"
    if view.typed:
        yield "esc: what is observed"
        yield f"now {observed}"
    elif traffic is not None:
        yield f"over {duration(traffic.covered_s)}"
        if traffic.waiting >= 1:
            yield f"{traffic.waiting:.0f} wait"


def _age(view: AdvisorView) -> str:
    ranking = view.ranking
    given = "" if ranking.given_s is None else f"ranked {duration(view.now_s - ranking.given_s)} ago"
    if ranking.began_s is None:
        return given
    return f"{given}, ranking" if given else "ranking"


def _seconds(value: float) -> str:
    return f"{value * 1e3:.0f}ms" if value < 1 else f"{value:.3g}s"


def _refused(refusal: PdctlError, columns: int, *, asked: bool) -> Iterator[Inked]:
    """Why there is no ranking: everything that is missing, a line each."""
    head, colon, rest = refusal.message.partition(": ")
    first, *more = wrapped(f"no ranking: {head}{colon.strip()}", columns - 2)
    yield (Span("? ", Ink.UNKNOWN), Span(first, Ink.UNKNOWN))
    yield from ((Span("  "), Span(line, Ink.UNKNOWN)) for line in more)
    for missing in rest.split("; ") if rest else ():
        head, *more = wrapped(missing, columns - 4)
        yield (Span("  · ", Ink.DIM), Span(head))
        yield from ((Span(f"    {line}"),) for line in more)
    here = "here: `o` ranks by something else, `i` takes another workload or other targets" if asked else ""
    for hint in (refusal.hint, here):
        for line in wrapped(hint, columns - 2):
            yield (Span(f"  {line}", Ink.DIM),)


def _answer(advice: Advice, move: str, columns: int) -> Iterator[Inked]:
    here = next((row for row in advice.rows if row.now), None)
    stays = advice.step is None and here is not None and (here.best or here.level)
    ink = Ink.GOOD if stays else Ink.WARN
    sign = "≈" if advice.too_close else "●" if stays else "▲"
    first, *more = wrapped(advice.verdict, columns - 2)
    yield (Span(f"{sign} ", ink), Span(first, Ink.BOLD))
    yield from ((Span(f"  {line}", Ink.BOLD),) for line in more)
    for text in advice.going:
        yield from _indented(text, columns, Ink.BASE)
    if move:
        yield from _indented(move, columns, Ink.TITLE)


def _table(advice: Advice, measured: tuple[str, ...], columns: int, *, live: str) -> Iterator[Inked]:
    rows = [HEADS, *(row.cells for row in advice.rows), *([measured] if measured else [])]
    widths = [max(len(row[place]) for row in rows) for place in range(len(HEADS))]
    kept = _kept(widths, columns)

    def line(cells: Sequence[str], mark: str, ink: Ink, after: str = "") -> Inked:
        spans = [Span(f"{mark} ", ink)]
        for place in kept:
            spans += [cell(cells[place], widths[place], ink, right=place > 0), Span(" " * GAP)]
        return cut((*spans[:-1], Span(after, Ink.TITLE)), columns)

    yield line(HEADS, " ", Ink.DIM)
    for row in advice.rows:
        yield line(row.cells, _mark(row), Ink.BOLD if row.best else Ink.BASE, NOW if row.now else "")
    if measured:
        yield line(measured, " ", Ink.DIM, f"  {live}")


def _mark(row: SplitRow) -> str:
    return "≈" if row.level else "*" if row.best else " "


def _kept(widths: Sequence[int], columns: int) -> list[int]:
    """The columns that fit, beside the sign at the left and the word at the right."""
    kept = list(range(len(HEADS)))
    for name in DROPPED:
        if 2 + sum(widths[place] + GAP for place in kept) - GAP + len(NOW) <= columns:
            break
        kept.remove(HEADS.index(name))
    return kept


def _reasons(advice: Advice, columns: int) -> Iterator[Inked]:
    names = min(columns // 3, max(len(row.words) for row in advice.rows))
    for row in advice.rows:
        first, *more = wrapped(row.why, columns - names - 2) or [""]
        yield (cell(row.words, names, Ink.BOLD), Span("  "), Span(first))
        yield from ((Span(" " * (names + 2)), Span(line)) for line in more)


def _rests_on(advice: Advice, columns: int) -> Iterator[Inked]:
    yield from _wrapped(advice.rests_on, columns, Ink.DIM)
    for note in advice.notes:
        yield from _wrapped(f"note: {note}", columns, Ink.DIM)
    if advice.priors:
        yield EMPTY
        yield from _wrapped(
            "rules of thumb that would apply (priors, no measurements of this fleet)", columns, Ink.BOLD
        )
    for prior in advice.priors:
        yield from _indented(prior.says, columns, Ink.BASE)
        yield from _indented(prior.disagrees, columns, Ink.DIM)


def _wrapped(text: str, columns: int, ink: Ink) -> Iterator[Inked]:
    return ((Span(line, ink),) for line in wrapped(text, columns))


def _indented(text: str, columns: int, ink: Ink) -> Iterator[Inked]:
    return ((Span(f"  {line}", ink),) for line in wrapped(text, columns - 2)) if text else iter(())
