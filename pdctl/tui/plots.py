"""A chart with its title: what is drawn, over how long, and what its top edge stands for. Pure.

One series as a line, or two as fields: one upwards, one downwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pdctl.model.figure import Figure
from pdctl.text.duration import duration
from pdctl.text.figures import amount, seconds
from pdctl.tui.history import History, Key, filling_step_s
from pdctl.tui.spans import Ink, Inked, Span, clipped, justified
from pdctl.tui.sparks import chart, hanging, samples, top_of


@dataclass(frozen=True, slots=True)
class Room:
    """What a block may take."""

    columns: int
    rows: int
    ascii_only: bool = False


@dataclass(frozen=True, slots=True)
class Plot:
    """`say` words the value of the edge. `down`: a second series, which hangs under the first on the same scale."""

    title: str
    key: Key
    say: Callable[[float], str]
    ink: Ink = Ink.BASE
    down: Key | None = None
    down_ink: Ink = Ink.DIM


def say_seconds(value: float) -> str:
    """A latency at the edge."""
    return seconds(Figure.exact(value, 0.0))


def say_amount(value: float) -> str:
    """A rate at the edge."""
    return amount(Figure.exact(value, 0.0))


def say_bytes(value: float) -> str:
    """Bytes a second at the edge."""
    return amount(Figure.exact(value, 0.0), "B/s")


def plot_lines(plot: Plot, history: History, room: Room) -> list[Inked]:
    """Exactly `room.rows` lines: a title, and the chart under it."""
    count = samples(room.columns, ascii_only=room.ascii_only)
    step = filling_step_s(count, history.known_s)
    upper = history.series(plot.key, count, step)
    lower = history.series(plot.down, count, step) if plot.down is not None else ()
    edge = top_of(upper, lower)
    known = any(value is not None for value in (*upper, *lower))
    scale = (Span(f"{duration(count * step)}, to {plot.say(edge)}" if known else "nothing known yet", Ink.DIM),)
    title = (Span(clipped(plot.title, room.columns), Ink.DIM),)
    rows = max(0, room.rows - 1)
    below = rows // 2 if plot.down is not None else 0
    up = chart(upper, rows - below, ascii_only=room.ascii_only, top=edge, filled=plot.down is not None)
    drawn = [justified(title, scale, room.columns), *((Span(line, plot.ink),) for line in up)]
    if below:
        drawn += [(Span(line, plot.down_ink),) for line in hanging(lower, below, ascii_only=room.ascii_only, top=edge)]
    return drawn[: max(1, room.rows)]
