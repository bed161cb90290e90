"""Log lines of several units in one order, bounded. Pure: no clock, no widget.

The order is by the time that a line says, where it says one; a line without one (most of a traceback) stays behind the
line before it of the same unit, and a unit that says no times is placed by when its lines came. The order of one unit's
lines never changes, and never depends on what other units said in between.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from pdctl.model.observed import Trouble
from pdctl.supervisors.ports import LogLine
from pdctl.text.escape import log_line
from pdctl.tui.log_level import LogLevel, level

CAPACITY: Final = 10_000
"""Lines that are kept; the oldest go first."""
MAX_CHARS: Final = 4_000
"""A longer line is cut: an engine may print a whole prompt in one."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line. `seq` counts arrivals; `key_s` is what it is ordered by (wall clock). A `trouble` is no line of the
    unit: it says why there are no more."""

    key_s: float
    seq: int
    unit: str
    text: str
    level: LogLevel
    at: float | None = None
    trouble: bool = False

    @property
    def order(self) -> tuple[float, int]:
        return self.key_s, self.seq


@dataclass(slots=True)
class LogBuffer:
    """All lines that are kept, and `shown`, those of `least` urgency and up. `dropped` counts what was let go."""

    capacity: int = CAPACITY
    least: LogLevel = LogLevel.DEBUG
    shown: list[Entry] = field(default_factory=list)
    dropped: int = 0
    _kept: list[Entry] = field(default_factory=list)
    _seq: int = 0
    _key_s: dict[str, float] = field(default_factory=dict)
    _level: dict[str, LogLevel] = field(default_factory=dict)
    _timed: set[str] = field(default_factory=set)  # units that have said a time
    _count: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, unit: str, heard: LogLine | Trouble, heard_s: float) -> Entry:
        """Put one line where it belongs; `heard_s` (wall clock) is when it came."""
        entry = self._entry(unit, heard, heard_s)
        insort(self._kept, entry, key=_order)
        self._count[unit] += 1
        if entry.level >= self.least:
            insort(self.shown, entry, key=_order)
        if len(self._kept) > self.capacity:
            self._drop_oldest()
        return entry

    def show_from(self, least: LogLevel) -> None:
        """Show lines of that level and up."""
        self.least = least
        self.shown = [entry for entry in self._kept if entry.level >= least]

    def clear(self) -> None:
        """Forget every line that is kept, not the order of what follows."""
        self._kept.clear()
        self.shown.clear()
        self._count.clear()

    def units(self) -> Counter[str]:
        """Lines that are kept, by unit."""
        return Counter({unit: count for unit, count in self._count.items() if count})

    def place(self, order: tuple[float, int]) -> int:
        """Where the entry of that order stands in `shown`, or stood: the first that comes no earlier."""
        return bisect_left(self.shown, order, key=_order)

    def after(self, order: tuple[float, int]) -> int:
        """How many of `shown` come behind it."""
        return len(self.shown) - bisect_right(self.shown, order, key=_order)

    def _entry(self, unit: str, heard: LogLine | Trouble, heard_s: float) -> Entry:
        self._seq += 1
        if isinstance(heard, Trouble):
            words = f"{heard.cause} (hint: {heard.hint})" if heard.hint else heard.cause
            return Entry(self._key(unit, heard_s), self._seq, unit, _cut(words), LogLevel.ERROR, trouble=True)
        text = _cut(heard.text)
        said = level(text) or self._level.get(unit, LogLevel.INFO)  # what says none goes on from the line before
        self._level[unit] = said
        if heard.at is not None:
            self._timed.add(unit)
            key_s = self._key(unit, heard.at)
        else:
            key_s = self._key(unit, float("-inf") if unit in self._timed else heard_s)
        return Entry(key_s, self._seq, unit, text, said, heard.at)

    def _key(self, unit: str, own_s: float) -> float:
        """Never before the unit's last line."""
        self._key_s[unit] = max(own_s, self._key_s.get(unit, own_s))
        return self._key_s[unit]

    def _drop_oldest(self) -> None:
        oldest = self._kept.pop(0)
        self._count[oldest.unit] -= 1
        self.dropped += 1
        if self.shown and self.shown[0] is oldest:
            del self.shown[0]


def matches(entries: Sequence[Entry], text: str) -> list[int]:
    """Places of the entries that hold `text`. Capitals matter only where `text` has some."""
    if not text:
        return []
    if text != text.lower():
        return [place for place, entry in enumerate(entries) if text in entry.text]
    return [place for place, entry in enumerate(entries) if text in entry.text.lower()]


def nearest(places: Sequence[int], here: int, *, forward: bool) -> int | None:
    """The next place after (or before) `here`, round the end; None where there is none."""
    if not places:
        return None
    if forward:
        found = bisect_right(places, here)
        return places[found % len(places)]
    return places[bisect_left(places, here) - 1]


def _cut(text: str) -> str:
    line = log_line(text)
    return line if len(line) <= MAX_CHARS else f"{line[:MAX_CHARS]}…"


def _order(entry: Entry) -> tuple[float, int]:
    return entry.order
