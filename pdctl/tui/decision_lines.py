"""The last decisions of `watch --auto`, the newest first, and whether they are of now. Pure."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pdctl.text.decisions import decision_line
from pdctl.text.duration import duration
from pdctl.tui.spans import EMPTY, Ink, Inked, Span, clipped, cut, width, wrapped

Entry = Mapping[str, Any]
SHOWN: Final = 20
FRESH_S: Final = 90.0
"""Three ticks of the policy: who decides nothing for so long is not at work."""
TIME_COLUMNS: Final = 10


@dataclass(frozen=True, slots=True)
class Decisions:
    """`entries` of the book, oldest first; None before they were read."""

    entries: Sequence[Entry] | None = None


def until(entries: Sequence[Entry], at_s: float) -> tuple[Entry, ...]:
    """The last ones that were there at that time (wall clock)."""
    return tuple(entry for entry in entries if _ts(entry) is not None and (_ts(entry) or 0.0) <= at_s)[-SHOWN:]


def decision_lines(decisions: Decisions, at_s: float, columns: int, *, whole: bool) -> list[Inked]:
    """As of that time (wall clock). `whole`: reasons take as many lines as they need."""
    head: Inked = (Span("DECISIONS", Ink.TITLE), Span(" of `watch --auto`", Ink.DIM))
    entries = decisions.entries
    if entries is None:
        return [head, (Span("reading them", Ink.DIM),)]
    if not entries:
        text = "none is known on this machine; `pdctl watch --auto=suggest` makes some and moves nothing"
        return [head, *((Span(line, Ink.DIM),) for line in wrapped(text, columns))]
    fresh = _freshness(at_s - (_ts(entries[-1]) or at_s))
    one_line = width(head) + width(fresh) + 2 <= columns
    lines = [(*head, Span("  "), *fresh)] if one_line else [head, cut(fresh, columns)]
    if whole:
        lines.append(EMPTY)
    for entry in reversed(entries):
        lines += _entry(entry, at_s, columns, whole=whole)
    return lines


def _freshness(age_s: float) -> Inked:
    if age_s <= FRESH_S:
        return (Span(f"of now: the last one {duration(age_s)} ago", Ink.GOOD),)
    return (Span(f"old: {duration(age_s)} ago, nobody decides here now", Ink.WARN),)


def _entry(entry: Entry, at_s: float, columns: int, *, whole: bool) -> Iterator[Inked]:
    text, room = decision_line(entry), max(8, columns - TIME_COLUMNS)
    first, *more = wrapped(text, room) if whole else [clipped(text, room)]
    yield (Span(f"{_clock(_ts(entry) or 0.0, at_s):<{TIME_COLUMNS}}", Ink.DIM), Span(first, _ink(entry)))
    yield from ((Span(" " * TIME_COLUMNS), Span(line, _ink(entry))) for line in more)


def _ink(entry: Entry) -> Ink:
    match entry.get("event"):
        case "move_suggested" | "rebalancing":
            return Ink.TITLE
        case "rebalanced":
            return Ink.GOOD if entry.get("exit_code") == 0 else Ink.BAD
        case _:
            return Ink.BASE


def _clock(ts: float, at_s: float) -> str:
    """The local time of a decision; of another day its date."""
    there, here = time.localtime(ts), time.localtime(at_s)
    return time.strftime("%H:%M:%S" if there[:3] == here[:3] else "%b %d", there)


def _ts(entry: Entry) -> float | None:
    ts = entry.get("ts")
    return float(ts) if isinstance(ts, int | float) else None
