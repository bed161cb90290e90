"""Series as characters: one line of blocks, or a field of braille dots, or of ASCII for terminals without. Pure.

A value that is not known leaves a gap, which is not the same as a zero: that has a mark on the ground line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

Series: TypeAlias = Sequence[float | None]

_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_FILLED: Final = ("▰", "▱")
_UP: Final = ((0x40, 0x04, 0x02, 0x01), (0x80, 0x20, 0x10, 0x08))
"""Dots of a braille cell from the ground up, left column and right (Unicode block 2800)."""
DOTS: Final = 4
_BRAILLE: Final = 0x2800


def top_of(*series: Series, least: float = 0.0) -> float:
    """What the top edge stands for: the highest value, rounded up to 1, 2 or 5 so that it seldom changes."""
    highest = max((value for values in series for value in values if value is not None), default=0.0)
    highest = max(highest, least)
    if highest <= 0:
        return 1.0
    step = 1e-9
    while True:
        for factor in (1, 2, 5):
            if step * factor >= highest * (1 - 1e-9):
                return step * factor
        step *= 10


def sparkline(values: Series, *, top: float | None = None) -> str:
    """A character a value, from the ground (0) to `top`."""
    edge = top_of(values) if top is None else top
    return "".join(" " if value is None else _BLOCKS[_level(value, edge, len(_BLOCKS))] for value in values)


def bar(share: float, columns: int) -> str:
    """A share of 1 as a bar: anything above nothing shows, and only all of it is full."""
    full, empty = _FILLED
    share = min(max(share, 0.0), 1.0)
    count = round(share * columns)
    if share > 0 and count == 0:
        count = 1
    if share < 1 and count == columns:
        count = columns - 1
    return full * count + empty * (columns - count)


def chart(
    values: Series, rows: int, *, ascii_only: bool = False, top: float | None = None, filled: bool = False
) -> tuple[str, ...]:
    """`rows` lines, from the top down: two values a character in braille, one in ASCII (see `samples`); a line, or
    filled to the ground."""
    edge = top_of(values) if top is None else top
    if ascii_only:
        return _ascii_chart(values, rows, edge, filled=filled)
    heights = [None if value is None else _height(value, edge, rows * DOTS) for value in values]
    if len(heights) % 2:
        heights.insert(0, None)
    columns = [_column(heights, place, filled=filled) for place in range(len(heights))]
    return tuple(_braille_row(columns, (rows - 1 - row) * DOTS) for row in range(rows))


def hanging(values: Series, rows: int, *, ascii_only: bool = False, top: float | None = None) -> tuple[str, ...]:
    """Filled from the ceiling down: the lower half of a chart of two directions."""
    edge = top_of(values) if top is None else top
    upright = chart(values, rows, ascii_only=ascii_only, top=edge, filled=True)
    if ascii_only:
        return tuple(reversed(upright))
    return tuple("".join(_turned(mark) for mark in line) for line in reversed(upright))


def samples(columns: int, *, ascii_only: bool = False) -> int:
    """How many values `chart` shows in so many columns."""
    return columns if ascii_only else columns * 2


def _level(value: float, top: float, count: int) -> int:
    share = min(max(value / top, 0.0), 1.0)
    return min(count - 1, int(share * count))


def _height(value: float, top: float, dots: int) -> int:
    """Dots from the ground; zero is one dot, so that it is not a gap."""
    return max(1, min(dots, round(min(max(value / top, 0.0), 1.0) * dots)))


def _column(heights: Sequence[int | None], place: int, *, filled: bool) -> range:
    """The dots of one value, from the ground up: down to its neighbour where it is a line."""
    height = heights[place]
    if height is None:
        return range(0)
    if filled:
        return range(height)
    before = heights[place - 1] if place else None
    other = height if before is None else before
    low, high = min(height, other + 1), max(height, other - 1)
    return range(low - 1, high)


def _braille_row(columns: Sequence[range], ground: int) -> str:
    marks = []
    for place in range(0, len(columns), 2):
        code = 0
        for side in (0, 1):
            for dot in range(DOTS):
                if ground + dot in columns[place + side]:
                    code |= _UP[side][dot]
        marks.append(chr(_BRAILLE + code) if code else " ")
    return "".join(marks)


def _turned(mark: str) -> str:
    """A braille cell upside down."""
    if mark == " ":
        return mark
    code, turned = ord(mark) - _BRAILLE, 0
    for side in _UP:
        for dot in range(DOTS):
            if code & side[dot]:
                turned |= side[DOTS - 1 - dot]
    return chr(_BRAILLE + turned)


def _ascii_chart(values: Series, rows: int, top: float, *, filled: bool) -> tuple[str, ...]:
    heights = [None if value is None else min(max(value / top, 0.0), 1.0) * rows for value in values]
    return tuple(
        "".join(_ascii_mark(height, rows - 1 - row, filled=filled) for height in heights) for row in range(rows)
    )


def _ascii_mark(height: float | None, ground: int, *, filled: bool) -> str:
    if height is None:
        return " "
    part = height - ground
    if part > 1:
        return "#" if filled else " "
    if part > 0 or ground == 0:
        return "_" if part <= 0.34 else "-" if part <= 0.67 else "#" if filled else "="
    return " "
