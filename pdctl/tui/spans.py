"""Lines of text in named inks, laid out by column. Pure: what a view draws, before any theme gives it colours.

The same lines are painted by `widgets.canvas`, written to text files and asserted on by tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, TypeAlias

from rich.cells import cell_len, set_cell_size

from pdctl.model.role import Role
from pdctl.text.escape import one_line
from pdctl.tui.levels import Level

HEATS: Final = 6


TO_ASCII: Final = str.maketrans("…↑↓→←≈±━─│▶·●▲✖▁▂▃▄▅▆▇█▰▱◆■□▪", "~^v><=~=-|>-+!X_.-=+*%##.*#.=")


class Ink(StrEnum):
    """What a piece of text is, not which colour: a palette says that."""

    BASE = "base"
    BOLD = "bold"
    DIM = "dim"
    TITLE = "title"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    UNKNOWN = "unknown"
    PREFILL = "prefill"
    DECODE = "decode"
    MIXED = "mixed"
    HEAT0 = "heat0"
    HEAT1 = "heat1"
    HEAT2 = "heat2"
    HEAT3 = "heat3"
    HEAT4 = "heat4"
    HEAT5 = "heat5"


_LEVELS: Final = {
    Level.GOOD: Ink.GOOD,
    Level.WARN: Ink.WARN,
    Level.BAD: Ink.BAD,
    Level.UNKNOWN: Ink.UNKNOWN,
    Level.PLAIN: Ink.BASE,
    Level.DIM: Ink.DIM,
}


def of_level(level: Level) -> Ink:
    """The ink of a level."""
    return _LEVELS[level]


def of_role(role: Role) -> Ink:
    """The ink of a lane."""
    return Ink(role.value)


def of_heat(step: int) -> Ink:
    """From cool (0) to hot (HEATS - 1)."""
    return Ink(f"heat{min(max(step, 0), HEATS - 1)}")


@dataclass(frozen=True, slots=True)
class Span:
    """Some text in one ink. `chosen`: under the cursor."""

    text: str
    ink: Ink = Ink.BASE
    chosen: bool = False


Inked: TypeAlias = tuple[Span, ...]
"""One line."""

EMPTY: Final[Inked] = ()


def width(line: Iterable[Span]) -> int:
    """Columns of a terminal that it takes."""
    return sum(cell_len(span.text) for span in line)


def plain(line: Iterable[Span]) -> str:
    """Its text alone."""
    return "".join(span.text for span in line)


def cell(text: str, columns: int, ink: Ink = Ink.BASE, *, right: bool = False) -> Span:
    """Text in exactly `columns`: padded, or cut with an ellipsis. What remote programs wrote is made harmless."""
    return Span(fit(one_line(text), columns, right=right), ink)


def fit(text: str, columns: int, *, right: bool = False) -> str:
    """`text` in exactly `columns`."""
    if columns <= 0:
        return ""
    size = cell_len(text)
    if size > columns:
        return set_cell_size(text, columns - 1) + "…"
    return " " * (columns - size) + text if right else text + " " * (columns - size)


def clipped(text: str, columns: int) -> str:
    """At most `columns`: cut between words where it can be, and said so with an ellipsis."""
    text = one_line(text)
    if cell_len(text) <= columns:
        return text
    short = set_cell_size(text, max(0, columns - 1)).rstrip()
    head, gap, _ = short.rpartition(" ")
    return f"{head if gap and len(head) > columns // 2 else short}…"


def pad(line: Inked, columns: int) -> Inked:
    """Exactly `columns` wide: filled with blanks, or cut."""
    used = width(line)
    if used <= columns:
        return (*line, Span(" " * (columns - used))) if used < columns else line
    return cut(line, columns)


def cut(line: Inked, columns: int) -> Inked:
    """At most `columns` wide, with an ellipsis where something is missing."""
    if width(line) <= columns:
        return line
    kept: list[Span] = []
    left = columns - 1
    for span in line:
        size = cell_len(span.text)
        if size > left:
            kept.append(replace(span, text=set_cell_size(span.text, left) + "…"))
            break
        kept.append(span)
        left -= size
    return tuple(kept)


def justified(left: Inked, right: Inked, columns: int) -> Inked:
    """One to each edge; the right one goes where both do not fit."""
    gap = columns - width(left) - width(right)
    if gap < 2 and right:
        return pad(left, columns)
    return (*left, Span(" " * max(0, gap)), *right)


def to_ascii(line: Inked) -> Inked:
    """The same, column by column, in what every terminal and font has."""
    return tuple(replace(span, text=span.text.translate(TO_ASCII)) for span in line)


def beside(blocks: Sequence[tuple[Sequence[Inked], int]], rows: int) -> tuple[Inked, ...]:
    """Blocks of lines side by side, each as wide as it says, `rows` high."""
    return tuple(
        tuple(span for lines, columns in blocks for span in pad(lines[row] if row < len(lines) else EMPTY, columns))
        for row in range(rows)
    )


def wrapped(text: str, columns: int) -> list[str]:
    """Words in lines of at most `columns`; a word that is longer is broken, never lost."""
    lines: list[str] = []
    line = ""
    for word in one_line(text).split(" "):
        while cell_len(word) > columns > 0:
            room = columns - cell_len(line) - bool(line)
            if line and room < 8:
                lines.append(line)
                line, room = "", columns
            lines.append(f"{line} {word[:room]}" if line else word[:room])
            line, word = "", word[room:]
        if line and cell_len(line) + 1 + cell_len(word) > columns:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line] if line else lines
