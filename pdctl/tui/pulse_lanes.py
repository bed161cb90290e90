"""A lane of Pulse: its pools, a figure a line with p50, p99, trend and series, and charts where there is room. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from pdctl.tui.history import History, Key, step_s
from pdctl.tui.levels import Level
from pdctl.tui.plots import Plot, Room, plot_lines, say_amount, say_seconds
from pdctl.tui.pulse_view import LaneView, PoolView, Row
from pdctl.tui.shown import Shown
from pdctl.tui.spans import EMPTY, Ink, Inked, Span, cell, clipped, cut, justified, of_level, of_role, width
from pdctl.tui.sparks import bar, sparkline

SPARK_S: Final = 120
WIDE: Final = 48
"""A lane from this width on has trends as numbers and units in full."""
CHART_ROWS: Final = (3, 14)
"""A chart lower than this says nothing, and a higher one says no more."""


def lane_rows(lane: LaneView, history: History, room: Room) -> list[Inked]:
    """Its heading and its pools."""
    lines: list[Inked] = [_heading(lane, room.columns)]
    full = sum(1 + len(pool.rows) + bool(pool.trouble) for pool in lane.pools)
    for place, pool in enumerate(lane.pools):
        left = room.rows - len(lines)
        following = len(lane.pools) - place - 1
        if left < 2 or (left < 4 and following):
            lines.append((Span(f"and {following + 1} pools more", Ink.DIM),))
            break
        several = len(lane.pools) > 1
        lines += _pool(pool, history, room.columns, named=several, compact=several and full >= room.rows)
    if len(lines) > room.rows > 2 and len(lane.pools) == 1:
        lines = _shortened(lines, room.rows)
    return lines


def lane_charts(lane: LaneView, history: History, room: Room) -> list[Inked]:
    """What is left of the height: charts of its first pool."""
    return _charts(lane.pools[0], history, room, named=len(lane.pools) > 1)


def _shortened(lines: list[Inked], rows: int) -> list[Inked]:
    """The last line says what is wrong, or how full KV is: what comes just before it goes first."""
    return [*lines[: rows - 1], lines[-1]]


def _heading(lane: LaneView, columns: int) -> Inked:
    """`━━ PREFILL ━ p50 ━━━━━ p99 ━━━━ 2/2 members`, with the names over the values of `_row`."""
    ink = of_role(lane.role)
    label, value = _widths(columns)
    line: Inked = (Span(f"━━ {lane.role.value.upper()} ", ink),)
    for name, edge in (("p50", label + value), ("p99", label + 2 * value + 1)):
        rule = edge - len(name) - 1 - width(line)
        if rule >= 0:
            line = (*line, Span("━" * rule + " ", ink), Span(name, Ink.DIM), Span(" ", ink))
    pools = f" in {len(lane.pools)} pools" if len(lane.pools) > 1 else ""
    word = f" members{pools}" if columns >= WIDE else ""
    right: Inked = (Span(f" {lane.members}", of_level(lane.members_level)), Span(word, Ink.DIM))
    return (*line, Span("━" * max(0, columns - width(line) - width(right)), ink), *right)


def _widths(columns: int) -> tuple[int, int]:
    """Columns of a row's name, and of each of its values."""
    return (8, 11) if columns >= WIDE else (7, 9)


def _pool(pool: PoolView, history: History, columns: int, *, named: bool, compact: bool) -> list[Inked]:
    ink = of_role(pool.role)
    name: Inked = ()
    if named:
        name = (Span(f"{pool.name} ", Ink.BOLD), Span(pool.members, of_level(pool.members_level)), Span("  "))
    queue = (*name, *_queue(pool))
    if width(queue) > columns:
        queue = cut((*name, *_queue(pool, _SHORT)), columns)
    if compact:
        return [queue, _row(pool.first, history, columns, ink)]
    lines = [queue, *(_row(row, history, columns, ink) for row in pool.rows)]
    if pool.trouble:
        lines.append((Span("▲ ", Ink.WARN), Span(clipped(pool.trouble, columns - 2), Ink.WARN)))
    return lines


_SHORT: Final = {"running": "run", "waiting": "wait", "for KV": "KV"}


def _queue(pool: PoolView, words: Mapping[str, str] = MappingProxyType({})) -> Inked:
    """`12 running · 0 waiting · 0 for KV`, or with shorter words."""
    line: Inked = ()
    for word, figure in pool.queue:
        if words and word != "running" and figure.value == 0.0:
            continue  # short of room: what is nothing is left out
        gap: Inked = (Span(" · ", Ink.DIM),) if line else ()
        waits = word != "running" and bool(figure.value)
        ink = Ink.WARN if waits and figure.level is Level.PLAIN else of_level(figure.level)
        line = (*line, *gap, Span(figure.text, ink), Span(f" {words.get(word, word)}", Ink.DIM))
        if figure.age:
            line = (*line, Span(f" {figure.age}", Ink.DIM))
    return line


def _row(row: Row, history: History, columns: int, ink: Ink) -> Inked:
    """Name, values, trend, series: the same columns in every row of a lane."""
    wide = columns >= WIDE
    label, value = _widths(columns)
    line: Inked = (Span(f"{row.label:{label}}", Ink.DIM),)
    if len(row.values) == 2:
        line = (*line, figure_span(row.values[0], value), Span(" "), figure_span(row.values[1], value))
    else:
        only = replace(row.values[0], level=row.level) if row.level is not Level.PLAIN else row.values[0]
        line = (*line, figure_span(only, value), Span(" "), cell(row.unit, value, Ink.DIM))
    ages = [shown.age for shown in row.values if shown.age]
    if ages:
        return justified((*line, Span(" "), Span(ages[0], Ink.DIM)), (), columns)
    line = (*line, Span(" "), cell(row.trend.text if wide else row.trend.sign, 6 if wide else 1, _ink(row)), Span(" "))
    room = columns - width(line)
    if row.bar is not None:
        return (*line, Span(bar(row.bar, min(room, 30)), of_level(row.level) if row.level is not Level.PLAIN else ink))
    if row.key is None:
        return line
    return (*line, spark_span(history, row.key, room, ink))


def _ink(row: Row) -> Ink:
    return of_level(row.trend.level)


def _charts(pool: PoolView, history: History, room: Room, *, named: bool) -> list[Inked]:
    """The first latency and the first rate over a quarter of an hour, one under the other."""
    chosen = [row for row in pool.rows if row.key is not None and row.bar is None]
    picks = [chosen[0], next(row for row in chosen if row.unit)]
    lowest, highest = CHART_ROWS
    while picks and room.rows // len(picks) < lowest + 2:
        picks.pop()
    lines: list[Inked] = []
    for row in picks:
        rows = min(highest, room.rows // len(picks) - 2)
        lines += [EMPTY, *plot_lines(_plot(row, pool, named=named), history, replace(room, rows=rows + 1))]
    return lines


def _plot(row: Row, pool: PoolView, *, named: bool) -> Plot:
    assert row.key is not None
    whose = f"{pool.name} " if named else ""
    return Plot(
        f"{whose}{row.label} {row.unit or 'p99'}", row.key, say_amount if row.unit else say_seconds, of_role(pool.role)
    )


def figure_span(figure: Shown, columns: int) -> Span:
    """To the right, in the ink of how sure it is; its bound alone where the interval does not fit."""
    return cell(
        figure.text if len(figure.text) <= columns else figure.short, columns, of_level(figure.level), right=True
    )


def spark_span(history: History, key: Key, columns: int, ink: Ink) -> Span:
    """The last minutes, a column each few seconds."""
    if columns < 3:
        return Span("")
    return Span(sparkline(history.series(key, columns, step_s(columns, SPARK_S))), ink)
