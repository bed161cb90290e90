"""The columns of the table of runs, and the lines of one run. Pure."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from pdctl.text.duration import duration
from pdctl.text.escape import one_line
from pdctl.tui.activity_view import Line, Outcome, RunRecord
from pdctl.tui.columns import Align, ColumnSpec
from pdctl.tui.levels import Level, glyph
from pdctl.tui.spans import EMPTY, Ink, Inked, Span, cell, of_level, wrapped

LEVELS: Final[Mapping[Outcome, Level]] = {
    Outcome.RUNNING: Level.WARN,
    Outcome.OPEN: Level.UNKNOWN,
    Outcome.DONE: Level.GOOD,
    Outcome.NOTHING: Level.DIM,
    Outcome.PARTLY: Level.WARN,
    Outcome.FAILED: Level.BAD,
    Outcome.STOPPED: Level.WARN,
    Outcome.UNFINISHED: Level.UNKNOWN,
}
_STATES: Final[Mapping[str, Level]] = {
    "planned": Level.DIM,
    "running": Level.WARN,
    "done": Level.GOOD,
    "failed": Level.BAD,
    "skipped": Level.DIM,
    "unfinished": Level.UNKNOWN,
}

_WIDE: Final = 120
"""Columns from which no action's name is cut."""


def activity_columns(*, ascii_only: bool) -> tuple[ColumnSpec[RunRecord], ...]:
    """When, how it ended, what, how long, who, and its last words."""
    return (
        ColumnSpec("when", 0, 14, lambda run: run.began_s, lambda run: when(run.began_s), Align.LEFT),
        ColumnSpec(
            "outcome",
            0,
            15,
            lambda run: run.outcome.value,
            lambda run: f"{glyph(LEVELS[run.outcome], ascii_only=ascii_only)} {run.outcome.value}",
            Align.LEFT,
            level=lambda run: LEVELS[run.outcome],
        ),
        ColumnSpec("what", 0, 26, lambda run: run.what, lambda run: counted(run), Align.LEFT),
        ColumnSpec("took", 1, 6, lambda run: run.took_s, lambda run: _took(run.took_s), unit="s"),
        ColumnSpec("who", 3, 16, lambda run: run.operator, lambda run: one_line(run.operator), Align.LEFT),
        ColumnSpec(
            "text", 2, 20, lambda run: run.text, lambda run: one_line(run.text), Align.LEFT, grows=True, level=_quiet
        ),
        ColumnSpec("run", 4, 8, lambda run: run.run, lambda run: one_line(run.run), Align.LEFT, level=_quiet),
    )


def counted(run: RunRecord) -> str:
    """`up a, b  x3`: the same again and again is one line."""
    return one_line(run.what) + (f"  x{run.count}" if run.count > 1 else "")


def when(at_s: float | None) -> str:
    """Local time; `?` where the journal's is damaged."""
    if at_s is None:
        return "?"
    try:
        return time.strftime("%m-%d %H:%M:%S", time.localtime(at_s))
    except (OverflowError, ValueError, OSError):
        return "?"


def run_lines(run: RunRecord, width: int) -> list[Inked]:
    """One run in full: who, when, how it ended, and each step."""
    level = LEVELS[run.outcome]
    took = f" in {_took(run.took_s)}" if run.took_s is not None else ""
    status = f", exit status {run.exit_code}" if run.exit_code else ""
    lines: list[Inked] = [
        (Span(counted(run), Ink.TITLE),),
        (Span(f"{glyph(level)} {run.outcome.value}{took}{status}", of_level(level)),),
        (Span(f"{when(run.began_s)}  {one_line(run.operator)}  run {one_line(run.run)}", Ink.DIM),),
    ]
    lines += [(Span(line),) for line in wrapped(run.text, width)] if run.text else []
    lines.append(EMPTY)
    subjects = min(max((len(line.subject) for line in run.lines), default=0), 28)
    actions = min(max((len(line.action) for line in run.lines), default=0), 24 if width < _WIDE else 44)
    for line in run.lines:
        lines.append(_line(line, actions, subjects, width))
        if line.hint and line.state == "failed":
            lines += [(Span("    hint: ", Ink.DIM), Span(text)) for text in wrapped(line.hint, max(20, width - 10))]
    return lines


def _line(line: Line, actions: int, subjects: int, width: int) -> Inked:
    level = _STATES.get(line.state, Level.WARN)
    again = f"  x{line.count}" if line.count > 1 else ""
    used = 2 + 11 + actions + 2 + subjects + 8 + 2
    return (
        Span(f"{glyph(level)} ", of_level(level)),
        cell(line.state or "said", 11, of_level(level)),
        cell(line.action, actions, Ink.BOLD),
        Span("  "),
        cell(line.subject, subjects),
        cell(_took(line.took_s), 8, Ink.DIM, right=True),
        Span("  "),
        cell(line.text + again, max(0, width - used), of_level(level) if line.state == "failed" else Ink.DIM),
    )


def _took(took_s: float | None) -> str:
    return "" if took_s is None else duration(took_s)


def _quiet(run: RunRecord) -> Level:
    return Level.BAD if run.outcome is Outcome.FAILED else Level.DIM
