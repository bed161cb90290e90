"""Charts of few points for a terminal: one glyph a series, so that they can be read without colour. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rich.text import Text

GLYPHS = "●■▲◆○□△◇"
ASCII_GLYPHS = "ox*#@%&="
STYLES = ("cyan", "yellow", "magenta", "green", "blue", "red", "bright_cyan", "bright_yellow")
_LINE, _ASCII_LINE = "·", "."
_MANY = "+"  # several series in one cell
_FAR_ABOVE_ZERO = 0.45  # of the highest value


@dataclass(frozen=True, slots=True)
class Series:
    """Points of one deployment, in the order in which a line joins them."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Axis:
    """`say` words a value at a tick. Without `high` the axis ends a little above the data; without `low` it begins at
    zero, or, where all data lie far above that, a little below them."""

    label: str
    say: Callable[[float], str]
    low: float | None = None
    high: float | None = None

    def ends(self, values: Sequence[float]) -> tuple[float, float]:
        """Of at least one value."""
        least, most = min(values), max(values)
        high = self.high if self.high is not None else most * 1.03 or 1.0
        if self.low is not None or least < _FAR_ABOVE_ZERO * high:
            return self.low or 0.0, high
        return max(0.0, least - 0.15 * (high - least)), high


@dataclass(frozen=True, slots=True)
class Room:
    """How large a chart may be, in cells; `ascii_only` where the terminal has no more."""

    columns: int = 80
    rows: int = 14
    ascii_only: bool = False


def chart(title: str, series: Sequence[Series], x: Axis, y: Axis, room: Room, *, joined: bool = True) -> list[Text]:
    """Title, the field with its axes, and a legend; every line at most `room.columns` wide."""
    points = [point for each in series for point in each.points]
    lines = [Text(title, style="bold")]
    if not points:
        return [*lines, Text("  nothing was measured")]
    across, up = x.ends([point[0] for point in points]), y.ends([point[1] for point in points])
    y_ticks, x_ticks = ticks(*up), ticks(*across)
    margin = max(len(y.say(tick)) for tick in y_ticks) + 1
    width = max(10, room.columns - margin - 2)
    field = _Field(width, room.rows, across, up, ascii_only=room.ascii_only)
    for number, each in enumerate(series):
        field.put(number, each.points, joined=joined)
    corner, rail, floor = ("+", "|", "-") if room.ascii_only else ("└", "│", "─")
    at_row = {field.row(tick): y.say(tick) for tick in y_ticks}
    lines += [Text(f"{at_row.get(row, ''):>{margin}}{rail}", style="dim") + field.line(row) for row in range(room.rows)]
    lines.append(Text(f"{'':{margin}}{corner}{floor * width}", style="dim"))
    lines.append(Text(_under(x, x_ticks, field, margin + 1), style="dim"))
    lines.append(Text(f"{y.label} over {x.label}"[: room.columns].rjust(margin + 1 + width), style="dim"))
    several = [Text(f"  {_MANY} several", style="dim")] if field.several else []
    return [*lines, *legend([each.name for each in series], room), *several]


def legend(names: Sequence[str], room: Room) -> list[Text]:
    """Which glyph is whose, on as many lines as it takes."""
    lines, line = [], Text()
    for number, name in enumerate(names):
        item = Text(f"  {glyph(number, ascii_only=room.ascii_only)} ", style=style(number)) + Text(name)
        if line and len(line) + len(item) > room.columns:
            lines.append(line)
            line = Text()
        line += item
    return [*lines, line]


def glyph(number: int, *, ascii_only: bool = False) -> str:
    """The sign of the series with that number."""
    known = ASCII_GLYPHS if ascii_only else GLYPHS
    return known[number % len(known)]


def style(number: int) -> str:
    """The colour of the series with that number."""
    return STYLES[number % len(STYLES)]


def ticks(low: float, high: float, *, about: int = 5) -> list[float]:
    """Round values from `low` to `high`, as many as `about`."""
    span = high - low
    if span <= 0:
        return [low]
    raw = span / about
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


class _Field:
    """Cells of the plot, addressed from the top left."""

    def __init__(
        self, columns: int, rows: int, x: tuple[float, float], y: tuple[float, float], *, ascii_only: bool
    ) -> None:
        self._columns, self._rows, self._x, self._y = columns, rows, x, y
        self._ascii = ascii_only
        self._cells: dict[tuple[int, int], tuple[str, str]] = {}
        self.several = False

    def row(self, value: float) -> int:
        return self._rows - 1 - _cell(value, self._y, self._rows)

    def column(self, value: float) -> int:
        return _cell(value, self._x, self._columns)

    def put(self, number: int, points: Sequence[tuple[float, float]], *, joined: bool) -> None:
        cells = [(self.column(x), self.row(y)) for x, y in points]
        for one, other in pairwise(cells) if joined else ():
            for cell in _between(one, other):
                self._cells.setdefault(cell, (_ASCII_LINE if self._ascii else _LINE, style(number)))
        for cell in cells:
            there = self._cells.get(cell)
            mine = glyph(number, ascii_only=self._ascii)
            taken = there is not None and there[0] not in (_LINE, _ASCII_LINE, mine)
            self._cells[cell] = (_MANY, "bold") if taken else (mine, style(number))
            self.several = self.several or taken

    def line(self, row: int) -> Text:
        text = Text()
        for column in range(self._columns):
            sign, shade = self._cells.get((column, row), (" ", ""))
            text.append(sign, style=shade)
        text.rstrip()
        return text


def _cell(value: float, ends: tuple[float, float], cells: int) -> int:
    share = (value - ends[0]) / (ends[1] - ends[0]) if ends[1] > ends[0] else 0.0
    return min(cells - 1, max(0, round(share * (cells - 1))))


def _between(one: tuple[int, int], other: tuple[int, int]) -> list[tuple[int, int]]:
    """The cells of a straight line without its ends."""
    steps = max(abs(other[0] - one[0]), abs(other[1] - one[1]))
    shares = [step / steps for step in range(1, steps)]
    return [
        (round(one[0] + share * (other[0] - one[0])), round(one[1] + share * (other[1] - one[1]))) for share in shares
    ]


def _under(axis: Axis, at: Sequence[float], field: _Field, margin: int) -> str:
    """The ticks' words below the axis; one that would run into its neighbour is left out."""
    line = ""
    for tick in at:
        word = axis.say(tick)
        start = max(0, margin + field.column(tick) - len(word) // 2)
        if start > len(line) or not line:
            line = f"{line:{start}}{word}"
    return line
