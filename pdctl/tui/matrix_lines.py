"""The matrix in columns and rows: times in words where they fit, a sign a pair where there are many. Pure.

Where even that is too much for the terminal, the part around the cursor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pdctl.model.figure import Figure
from pdctl.model.snapshot import PairState
from pdctl.text.figures import seconds
from pdctl.tui.levels import glyph, of_pair
from pdctl.tui.matrix_view import HEAT_EDGES, HEAT_SIGNS, UNTRIED_SIGN, Cell, MatrixView, short_names
from pdctl.tui.spans import EMPTY, Ink, Inked, Span, clipped, cut, fit, of_heat, of_level, width, wrapped

WORDS: Final = 10
"""Columns of a pair with its time: `▂ 91.2ms`."""
SIGNS: Final = 2
NAME_ROWS: Final = 4
"""Rows of a decode's name that stands upright: its end, which tells it from its neighbours."""
DETAIL_ROWS: Final = 6


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the operator is: an instance of each side, by name. "" before they moved."""

    prefill: str = ""
    decode: str = ""

    def within(self, view: MatrixView) -> Cursor:
        """The same pair, or the first where it is gone; the slowest or broken one before anybody moved."""
        if view.empty:
            return Cursor()
        if (self.prefill, self.decode) in view.cells:
            return self
        worst = _worst(view)
        return Cursor(worst.pair.prefill, worst.pair.decode)

    def moved(self, view: MatrixView, down: int, right: int) -> Cursor:
        """So many rows and columns on, up to the edge."""
        here = self.within(view)
        if view.empty:
            return here
        return Cursor(_step(view.prefills, here.prefill, down), _step(view.decodes, here.decode, right))


def _step(names: Sequence[str], name: str, by: int) -> str:
    return names[min(max(names.index(name) + by, 0), len(names) - 1)]


_URGENCY: Final = (PairState.BROKEN, PairState.SUSPECT)


def _worst(view: MatrixView) -> Cell:
    for state in _URGENCY:
        for cell in view.cells.tried.values():
            if cell.pair.state is state:
                return cell
    return view.slowest or next(iter(view.cells.values()))


def matrix_lines(
    view: MatrixView, cursor: Cursor, details: Sequence[tuple[str, Ink]], columns: int, rows: int, status: str = ""
) -> tuple[Inked, ...]:
    """Exactly `rows` lines: a summary, the matrix, and what is known of the pair under the cursor."""
    head: list[Inked] = [_summary(view, columns, status), EMPTY]
    if view.empty:
        text = "No pair: there is no prefill or no decode instance here, so no KV is handed over."
        return _filled([*head, *((Span(line, Ink.DIM),) for line in wrapped(text, columns))], rows)
    below = [
        _rule(columns),
        *_details(details, columns, DETAIL_ROWS if rows > 24 else DETAIL_ROWS - 1),
        _legend(columns),
    ]
    grid = _grid(view, cursor.within(view), columns, max(2, rows - len(head) - len(below)))
    gap = rows - len(head) - len(grid) - len(below)
    return (*head, *grid, *([EMPTY] * max(0, gap)), *below)


def _filled(lines: list[Inked], rows: int) -> tuple[Inked, ...]:
    return (*lines, *([EMPTY] * (rows - len(lines))))


def _summary(view: MatrixView, columns: int, status: str) -> Inked:
    """What is under way, how many pairs are in each state, what a canary takes: as much as fits, worst first."""
    line: Inked = (Span("CANARIES ", Ink.TITLE), Span(f"{len(view.prefills)} x {len(view.decodes)}", Ink.DIM))
    parts: list[Span] = [Span(f"  {status}", Ink.TITLE)] if status else []
    for state in (PairState.BROKEN, PairState.SUSPECT, PairState.OK, PairState.UNTRIED):
        if view.counts.get(state):
            level = of_pair(state)
            parts.append(Span(f"  {glyph(level)} {view.counts[state]} {state.value}", of_level(level)))
    if view.slowest is not None and view.middle_s is not None:
        parts.append(Span(f"  median {seconds_of(view.middle_s)}, slowest {view.slowest.text}"))
    for part in parts:
        if width((*line, part)) <= columns:
            line = (*line, part)
    return line


def seconds_of(value_s: float) -> str:
    """A plain number of seconds in words."""
    return seconds(Figure.exact(value_s, 0.0))


def _rule(columns: int) -> Inked:
    return (Span("─" * columns, Ink.DIM),)


def _details(details: Sequence[tuple[str, Ink]], columns: int, rows: int) -> list[Inked]:
    """Always as many rows, so that the matrix does not jump while the cursor moves."""
    lines: list[Inked] = []
    for text, ink in details:
        lines += [(Span(line, ink),) for line in wrapped(text, columns)]
    lines = lines[:rows]
    return [*lines, *([EMPTY] * (rows - len(lines)))]


def _legend(columns: int) -> Inked:
    line: Inked = (Span("x median ", Ink.DIM),)
    words = (f"<{HEAT_EDGES[0]:g}", "~1", *(f">{edge:g}" for edge in HEAT_EDGES[1:]))
    for step, (sign, word) in enumerate(zip(HEAT_SIGNS, words, strict=True)):
        line = (*line, Span(f" {sign}", of_heat(step)), Span(f" {word}", Ink.DIM))
    line = (*line, Span(" "))
    for state in (PairState.SUSPECT, PairState.BROKEN):
        line = (*line, Span(f" {glyph(of_pair(state))}", of_level(of_pair(state))), Span(f" {state.value}", Ink.DIM))
    return cut((*line, Span(f" {UNTRIED_SIGN} untried", Ink.DIM)), columns)


def _grid(view: MatrixView, cursor: Cursor, columns: int, rows: int) -> list[Inked]:
    prefills, decodes = short_names(view.prefills), short_names(view.decodes)
    label = min(max(len("prefill"), *(len(name) for name in prefills)), 20) + 1
    room = columns - label - 1
    words = len(decodes) * WORDS <= room
    size = min(WORDS + 2, room // len(decodes)) if words else SIGNS
    heading_rows = 1 if words else min(NAME_ROWS, max(len(name) for name in decodes))
    wide = _window(len(decodes), view.decodes.index(cursor.decode), room // size)
    high = _window(len(prefills), view.prefills.index(cursor.prefill), max(1, rows - heading_rows - 1))
    lines = _heading(view, cursor, decodes, wide, (label, size), heading_rows)
    for row in high:
        prefill = view.prefills[row]
        here = prefill == cursor.prefill
        line: list[Span] = [Span(fit(prefills[row], label), Ink.BOLD if here else Ink.PREFILL), Span(" ")]
        for column in wide:
            decode = view.decodes[column]
            line.append(_cell_span(view.cells[prefill, decode], size, words, here and decode == cursor.decode))
        lines.append(tuple(line))
    if len(wide) < len(decodes) or len(high) < len(prefills):
        part = (f"rows {_part(high, len(prefills))}", f"columns {_part(wide, len(decodes))}")
        lines.append((Span(", ".join(part), Ink.DIM),))
    return lines


def _part(shown: range, count: int) -> str:
    return f"{shown[0] + 1}-{shown[-1] + 1} of {count}"


def _window(count: int, at: int, room: int) -> range:
    """`room` places of `count`, the place `at` among them; it moves by half of itself, not with every step."""
    room = max(1, min(room, count))
    half = max(1, room // 2)
    begin = min(max(0, at // half * half - (room - half) // 2), count - room)
    return range(begin, begin + room)


def _cell_span(cell: Cell, size: int, words: bool, chosen: bool) -> Span:
    text = fit(f" {cell.sign} {cell.text}", size) if words else (f"{cell.sign}<" if chosen else f"{cell.sign} ")
    if words and chosen:
        text = fit(f">{cell.sign} {cell.text}", size)
    return Span(text, cell.ink, chosen)


def _heading(
    view: MatrixView, cursor: Cursor, names: Sequence[str], wide: range, sizes: tuple[int, int], rows: int
) -> list[Inked]:
    label, size = sizes
    lines: list[Inked] = []
    for row in range(rows):
        last = row == rows - 1
        line: list[Span] = [Span(fit("prefill" if last else "", label), Ink.DIM), Span(" ")]
        for column in wide:
            ink = Ink.BOLD if view.decodes[column] == cursor.decode else Ink.DECODE
            if rows == 1 and size > SIGNS:
                line.append(Span(fit(f"   {clipped(names[column], size - 4)}", size), ink))
            else:
                upright = names[column][-rows:].rjust(rows)
                line.append(Span(f"{upright[row]} ", ink))
        lines.append(tuple(line))
    return lines
