"""A run's events in words, and its closing table. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from pdctl.bench.figures.figures import Figures
from pdctl.bench.figures.spread import Spread
from pdctl.bench.reports.words import UNKNOWN, amount, seconds, share
from pdctl.bench.runs.events import (
    BenchEnded,
    BenchStarted,
    BenchTold,
    PointCut,
    PointDone,
    PointFailed,
    PointStarted,
    Progress,
)
from pdctl.bench.runs.runner import Tally
from pdctl.model.events import Event
from pdctl.text.duration import duration
from pdctl.text.escape import one_line

_HEAD = (
    "point",
    "ok",
    "failed",
    "req/s",
    "tok/s out",
    "TTFT p50/p99",
    "ITL p50/p99",
    "TPOT p50",
    "E2EL p50/p99",
    "SLO",
)
_SPARED = ("TPOT p50", "E2EL p50/p99", "req/s", "ITL p50/p99")
"""Columns that a narrow terminal does without, in that order; `pdctl bench report` has them."""


def lines(event: Event) -> tuple[str, ...]:
    """What the operator reads of an event; remote text in it cannot drive a terminal."""
    match event:
        case BenchStarted():
            earlier = f", {event.done} measured before" if event.done else ""
            return (
                f"{event.points} point{'s' * (event.points != 1)}, driver {event.driver}{earlier}",
                f"results go to {event.directory}",
            )
        case PointStarted():
            return (f"{_at(event)} {_asked(event)}",)
        case Progress():
            return (progress(event),)
        case PointDone():
            when = "measured before: " if event.earlier else ""
            return (f"{_at(event)} {when}{_short(event.figures)}",)
        case PointFailed():
            hint = f" (hint: {event.hint})" if event.hint else ""
            return (one_line(f"{_at(event)} NOT MEASURED: {event.cause}{hint}"),)
        case PointCut():
            return (f"{_at(event)} stopped with {event.ended} of {event.requests} requests measured",)
        case BenchTold():
            return (one_line(event.text),)
    return ()


def ended(directory: Path, tally: Tally, took_s: float) -> BenchEnded:
    """The last event of a run, with how to go on where something is left."""
    hint = f"pdctl bench run --resume {shlex.quote(str(directory))}" if tally.left or tally.failed else ""
    if hint and tally.unanswered == tally.failed and not tally.left:
        hint += " --anew"  # they have figures, of failures only: nothing else measures them again
    return BenchEnded(str(directory), tally.measured, tally.failed, tally.left, took_s, tally.exit_code, hint)


def progress(event: Progress) -> str:
    """One line while a point runs."""
    if event.elapsed_s is None:
        return f"{_at(event)} warming up, or waiting for the first request to end"
    failed = f", {event.failed} FAILED" if event.failed else ""
    point = f", point {duration(event.eta_s)} left" if event.eta_s is not None else ""
    run = f", run {duration(event.run_eta_s)} left" if event.run_eta_s is not None else ""
    of = f"/{event.requests}" if event.duration_s is None else " ended"
    return f"{_at(event)} {event.ended}{of}{failed}, {duration(event.elapsed_s)}{point}{run}"


def closing(done: Sequence[PointDone], end: BenchEnded, width: int | None = None) -> tuple[str, ...]:
    """The table of all measured points, what makes them doubtful, why requests failed, and how to go on. `width`: of
    the terminal; None: any."""
    found = [""] if done else []
    found += table(done, width)
    for event in done:
        found += [f"{event.point}: {warning}" for warning in event.figures.warnings]
        found += [one_line(f"{event.point}: {count} x {cause}") for cause, count in event.failures]
    counts = [f"{end.measured} measured"]
    counts += [f"{end.failed} NOT MEASURED"] if end.failed else []
    counts += [f"{end.left} left"] if end.left else []
    found.append(f"{', '.join(counts)} in {duration(end.took_s)}; {end.directory}")
    if end.hint:
        found.append(f"go on with: {end.hint}")
    return tuple(found)


def table(done: Sequence[PointDone], width: int | None = None) -> list[str]:
    """One line a point; columns as wide as they need to be, and the first of _SPARED left out until they fit."""
    if not done:
        return []
    rows = [_HEAD, *(_row(event) for event in done)]
    spared = 0
    while True:
        kept = [column for column, head in enumerate(_HEAD) if head not in _SPARED[:spared]]
        lines = _aligned([[row[column] for column in kept] for row in rows])
        if width is None or max(map(len, lines)) <= width or spared == len(_SPARED):
            return lines
        spared += 1


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(wide) for cell, wide in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]


def _row(event: PointDone) -> tuple[str, ...]:
    figures = event.figures
    counts, goodput = figures.counts, figures.goodput
    kinds = ("aborted", "error", "cut", "refused")
    here = [f"{getattr(counts, kind)} {kind}" for kind in kinds if getattr(counts, kind)]
    failed = "+".join(here or ["0"]) if len(here) < 3 else f"{counts.failed} in {len(here)} ways"
    return (
        event.point,
        str(counts.ok),
        failed,
        amount(figures.requests_per_s),
        amount(figures.tps_out),
        _both(figures.ttft),
        _both(figures.itl),
        seconds(figures.tpot.median_s) if figures.tpot else UNKNOWN,
        _both(figures.e2el),
        share(goodput.attainment) if goodput is not None else UNKNOWN,
    )


def _asked(event: PointStarted) -> str:
    again = event.left < event.requests
    if event.duration_s is not None:
        return f"{'another ' if again else ''}{duration(event.duration_s)}"
    return f"{event.requests} requests" + (f", {event.left} of them left" if again else "")


def _short(figures: Figures) -> str:
    counts, goodput = figures.counts, figures.goodput
    failed = f" + {counts.failed} FAILED" if counts.failed else ""
    met = f", SLO {share(goodput.attainment)}" if goodput is not None else ""
    latencies = f"TTFT {_both(figures.ttft)}, ITL {_both(figures.itl)} (p50/p99)"
    return (
        f"{counts.ok} ok{failed} in {duration(figures.duration_s)}: {amount(figures.tps_out)} tok/s, {latencies}{met}"
    )


def _both(spread: Spread | None) -> str:
    return UNKNOWN if spread is None else f"{seconds(spread.median_s)}/{seconds(spread.p99_s)}"


def _at(event: PointStarted | Progress | PointDone | PointFailed | PointCut) -> str:
    return f"[{event.number}/{event.points}] {event.point}:"
