"""Reads the samples of chosen families out of Prometheus text, quickly; everything else is skipped.

A target prints the same series scrape after scrape, in the same words up to the value. So each line's part before the
value is looked up in what was learnt from earlier scrapes, and only a new one is parsed. What is not a plain line (an
escape, a timestamp, odd blanks) goes to prometheus_client's parser, so the two agree by construction.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from prometheus_client.parser import text_string_to_metric_families

Labels: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One series: a sample name and its labels, sorted by name. One scanner gives one object for one series, so they
    are compared by identity, which is what makes a scrape cheap."""

    name: str
    labels: Labels

    def label(self, name: str) -> str:
        """The label's value; "" where the series has none."""
        for key, value in self.labels:
            if key == name:
                return value
        return ""


@dataclass(frozen=True, slots=True)
class Scan:
    """The samples of one scrape. `damaged`: lines of the text that could not be read; with any, the scrape was cut."""

    samples: dict[Series, float]
    damaged: int


_NAME: Final = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL: Final = r'(?!__)[a-zA-Z_][a-zA-Z0-9_]*="[^"\\]*"'
_PLAIN: Final = re.compile(rf"({_NAME})(?:\{{((?:{_LABEL}(?:,{_LABEL})*,?)?)\}})?")
_PAIR: Final = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="([^"\\]*)"')
_ODD: Final = ("\r", "\t", "\n ", " \n", "\n{", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x1f")
_KNOWN_MAX: Final = 50_000
"""Lines that are remembered per scanner; 64 DP ranks have 40,000. A target that changes its labels all the time must
not fill the memory."""


@dataclass(slots=True)
class Scanner:
    """Reads one target's scrapes. `names`: the sample names to keep. Not for several targets: it learns the lines."""

    names: frozenset[str]
    _known: dict[str, Series | None] = field(default_factory=dict)
    _series: dict[tuple[str, Labels], Series] = field(default_factory=dict)

    def scan(self, text: str) -> Scan:
        """The chosen samples of `text`; of a series that is there twice, the last value."""
        samples: dict[Series, float] = {}
        known = self._known
        damaged = 0
        for line in _lines(text):
            head, _, tail = line.rpartition(" ")
            series = known.get(head, _NEW)
            if series is None:
                continue
            if series is _NEW:
                series = self._learn(head)
                if series is None:
                    continue
            value = None if series is _ODD_LINE else _number(tail)
            if value is not None:
                samples[series] = value
                continue
            try:
                samples.update(self._odd(line))
            except ValueError:
                damaged += 1
        return Scan(samples, damaged)

    def series(self, head: str) -> Series | None:
        """The series of a line that begins so; None where it is none of the chosen ones, or cannot be read."""
        known = self._known.get(head, _NEW)
        found = self._learn(head) if known is _NEW else known
        if found is not _ODD_LINE:
            return found
        try:
            return next((series for series, _ in self._odd(f"{head} 0")), None)
        except ValueError:
            return None

    def _learn(self, head: str) -> Series | None:
        """What a line that begins so is: a series, one of no interest (None), or no plain line."""
        if len(self._known) >= _KNOWN_MAX:
            self._known.clear()
            self._series.clear()
        if not head or head[0] == "#":
            learnt = None if head else _ODD_LINE
        else:
            plain = _PLAIN.fullmatch(head)
            if plain is None:
                return _ODD_LINE  # not remembered: its value may be in the middle, and differ each time
            pairs = _PAIR.findall(plain[2] or "")
            learnt = self._one(plain[1], tuple(sorted(pairs))) if plain[1] in self.names else None
            if len({key for key, _ in pairs}) != len(pairs):
                learnt = _ODD_LINE
        self._known[head] = learnt
        return learnt

    def _odd(self, line: str) -> Iterable[tuple[Series, float]]:
        """The samples of one line by prometheus_client. Raises ValueError where it cannot read the line."""
        if not line.strip() or line.lstrip().startswith("#"):
            return []
        return [
            (self._one(sample.name, tuple(sorted(sample.labels.items()))), float(sample.value))
            for family in text_string_to_metric_families(line)
            for sample in family.samples
            if sample.name in self.names
        ]

    def _one(self, name: str, labels: Labels) -> Series:
        return self._series.setdefault((name, labels), Series(name, labels))


_NEW: Final = Series("", (("new", ""),))
_ODD_LINE: Final = Series("", (("odd", ""),))


def _lines(text: str) -> list[str]:
    """Lines without blanks around them; only a text that has odd ones pays for that."""
    if text.isascii() and text[:1] not in (" ", "{") and not any(odd in text for odd in _ODD):
        return text.split("\n")
    return [line.strip() for line in text.split("\n")]


def _number(tail: str) -> float | None:
    """The value as prometheus_client reads it: Python's float, but no underscores."""
    if "_" in tail:
        return None
    try:
        return float(tail)
    except ValueError:
        return None
