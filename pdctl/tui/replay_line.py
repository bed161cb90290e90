"""The bar of a recording: where it stands, whether it plays, how far there is to go; and what `:seek` means. Pure."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime

from pdctl.text.duration import duration
from pdctl.tui.ports import Transport
from pdctl.tui.spans import Ink, Inked, Span

_BAR_FROM = 60
"""Columns from which there is room for the bar itself."""


def replay_line(transport: Transport, width: int) -> Inked:
    """`▶ 2x  12:03:44  ━━━━━●────  12:31:02  7 of 90`; of a live cluster that was gone back in, how long ago it was."""
    times = transport.times
    if not times:
        return (Span("nothing is kept yet", Ink.DIM),)
    here = min(max(transport.place, 0), len(times) - 1)
    sign = "▶" if transport.playing else "─"
    word = f"{transport.speed:g}x" if transport.playing else "paused"
    behind = f"  {duration(times[-1] - times[here])} ago" if transport.live and times[-1] > times[here] else ""
    left = f" {sign} {word}  {clock(times[here])}{behind}  "
    right = f"  {clock(times[-1])}  {here + 1} of {len(times)} "
    room = width - len(left) - len(right)
    bar = _bar(times[0], times[here], times[-1], room) if width >= _BAR_FROM and room >= 8 else ()
    return (Span(left, Ink.TITLE), *bar, Span(right, Ink.DIM))


def _bar(first_s: float, here_s: float, last_s: float, columns: int) -> Inked:
    share = 0.0 if last_s <= first_s else (here_s - first_s) / (last_s - first_s)
    done = round(share * (columns - 1))
    return (Span("━" * done, Ink.TITLE), Span("●", Ink.BOLD), Span("─" * (columns - 1 - done), Ink.DIM))


def clock(at_s: float) -> str:
    """Local time of day."""
    return time.strftime("%H:%M:%S", time.localtime(at_s))


def mark_of(transport: Transport) -> str:
    """For the first line of every screen: where a recording stands; "" while a live cluster is shown as it is."""
    times = transport.times
    if not times or (transport.live and transport.playing):
        return ""
    here = min(max(transport.place, 0), len(times) - 1)
    if transport.live:
        return f"{duration(times[-1] - times[here])} back"
    speed = "" if transport.speed == 1.0 else f" {transport.speed:g}x"
    return f"{here + 1}/{len(times)}{speed}" + ("" if transport.playing else " paused")


def moment(text: str, times: Sequence[float]) -> float:
    """What `03:14`, `03:14:07`, `-90s`, `+5m` or a full date means in a recording: wall-clock seconds.

    `-` counts from its end, `+` from its beginning. Raises ValueError with words.
    """
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    text = text.strip()
    try:
        if text[:1] in "+-" and text:
            far_s = float(text[1:].rstrip("smh")) * units[text[-1] if text[-1] in units else "s"]
            return times[0] + far_s if text[0] == "+" else times[-1] - far_s
        if "T" in text or text.count("-") == 2:
            return datetime.fromisoformat(text).timestamp()
        clock_ = datetime.strptime(text, "%H:%M:%S" if text.count(":") == 2 else "%H:%M")
        return (
            datetime.fromtimestamp(times[-1])
            .replace(hour=clock_.hour, minute=clock_.minute, second=clock_.second, microsecond=0)
            .timestamp()
        )
    except (ValueError, KeyError, IndexError):
        raise ValueError(
            f"{text!r} is no time: 03:14, 03:14:07, -90s (before the end), +5m (after the beginning)"
        ) from None
