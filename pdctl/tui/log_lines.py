"""Log entries as lines of a width: which rows an entry takes, and what stands in them. Pure."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from rich.cells import cell_len, chop_cells

from pdctl.tui.log_buffer import Entry
from pdctl.tui.log_level import LogLevel
from pdctl.tui.spans import Ink, Inked, Span, fit

TAG_MAX: Final = 20
_TIME: Final = 8
_INKS: Final = {
    LogLevel.DEBUG: Ink.DIM,
    LogLevel.INFO: Ink.BASE,
    LogLevel.WARNING: Ink.WARN,
    LogLevel.ERROR: Ink.BAD,
    LogLevel.CRITICAL: Ink.BAD,
}
_TAGS: Final = (Ink.DECODE, Ink.PREFILL, Ink.MIXED, Ink.HEAT2, Ink.HEAT0, Ink.HEAT3, Ink.HEAT5, Ink.GOOD)
"""Inks that tell units apart; their names do so without colour."""


@dataclass(frozen=True, slots=True)
class Columns:
    """What stands before the text: the time where any is known, and the unit's name where there are several."""

    times: bool
    tag: int
    inks: dict[str, Ink] = field(default_factory=dict)

    @property
    def lead(self) -> int:
        """Columns before the text."""
        return (_TIME + 1 if self.times else 0) + (self.tag + 1 if self.tag else 0) + 2


def columns_of(units: Sequence[str], *, times: bool, width: int) -> Columns:
    """The columns for these units in a terminal so wide."""
    longest = max((cell_len(unit) for unit in units), default=0) if len(units) > 1 else 0
    inks = {unit: _TAGS[place % len(_TAGS)] for place, unit in enumerate(units)}
    return Columns(times and width >= 60, min(longest, TAG_MAX, max(8, width // 4)) if longest else 0, inks)


def parts(entry: Entry, room: int, *, wrap: bool) -> list[str]:
    """The entry's text, in one piece or, wrapped, in pieces of at most `room` columns."""
    if not wrap or room <= 0 or (entry.text.isascii() and len(entry.text) <= room):
        return [entry.text]
    return chop_cells(entry.text, room) or [""]


def row_count(entry: Entry, room: int) -> int:
    """How many rows it takes when wrapped."""
    if entry.text.isascii():
        return max(1, -(-len(entry.text) // room)) if room > 0 else 1
    return len(parts(entry, room, wrap=True))


@dataclass(frozen=True, slots=True)
class Layout:
    """Rows of a list of entries: `ends` is the row after each entry's last; None where each takes one."""

    count: int
    ends: tuple[int, ...] | None = None

    @property
    def rows(self) -> int:
        return self.count if self.ends is None else (self.ends[-1] if self.ends else 0)

    def entry_at(self, row: int) -> tuple[int, int]:
        """(which entry, which of its rows). Raises IndexError beyond the end."""
        if not 0 <= row < self.rows:
            raise IndexError(row)
        if self.ends is None:
            return row, 0
        place = bisect_right(self.ends, row)
        return place, row - (self.ends[place - 1] if place else 0)

    def row_of(self, place: int) -> int:
        """The first row of that entry."""
        return place if self.ends is None else (self.ends[place - 1] if place else 0)


def lay_out(entries: Sequence[Entry], room: int, *, wrap: bool) -> Layout:
    """The rows of these entries with `room` columns for text."""
    if not wrap:
        return Layout(len(entries))
    return Layout(len(entries), tuple(accumulate(row_count(entry, room) for entry in entries)))


def entry_line(
    entry: Entry, part: int, columns: Columns, width: int, *, wrap: bool, found: str = "", chosen: bool = False
) -> Inked:
    """One row of an entry. What matches the search `found` stands out; `chosen`: under the cursor or selected."""
    room = max(1, width - columns.lead)
    pieces = parts(entry, room, wrap=wrap)
    text = pieces[part] if part < len(pieces) else ""
    ink = _INKS[entry.level]
    lead: list[Span] = []
    if columns.times:
        said = time.strftime("%H:%M:%S", time.localtime(entry.at)) if entry.at is not None and part == 0 else ""
        lead.append(Span(fit(said, _TIME + 1), Ink.DIM, chosen))
    if columns.tag:
        lead.append(
            Span(fit(short(entry.unit, columns.tag), columns.tag + 1), columns.inks.get(entry.unit, Ink.BASE), chosen)
        )
    mark = "✖" if entry.trouble else entry.level.name[0] if part == 0 and entry.level is not LogLevel.INFO else " "
    body = _marked(text if wrap else fit(text, room).rstrip(), found, ink, chosen)
    return (*lead, Span(f"{mark} ", ink, chosen), *body)


def _marked(text: str, found: str, ink: Ink, chosen: bool) -> list[Span]:
    """The text, with what matches in an ink of its own."""
    if not found:
        return [Span(text, ink, chosen)]
    where = text if found != found.lower() else text.lower()
    spans: list[Span] = []
    begin = 0
    while (place := where.find(found, begin)) >= 0:
        spans += [Span(text[begin:place], ink, chosen), Span(text[place : place + len(found)], Ink.TITLE, chosen=True)]
        begin = place + len(found)
    return [span for span in (*spans, Span(text[begin:], ink, chosen)) if span.text]


def short(name: str, columns: int) -> str:
    """A name cut in its middle: both the node and the instance's number tell names apart."""
    if len(name) <= columns:
        return name
    tail = (columns - 1) // 2
    return f"{name[: columns - 1 - tail]}…{name[len(name) - tail :]}"
