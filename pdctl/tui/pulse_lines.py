"""Pulse in columns and rows: clients on top, the verdict, the lanes with the link between, the router, alerts. Pure.

For any terminal from 78 columns and 20 rows up; what is left of the height becomes charts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pdctl.tui.history import History
from pdctl.tui.levels import Level, glyph
from pdctl.tui.link_lines import link_block
from pdctl.tui.plots import Room
from pdctl.tui.pulse_lanes import figure_span, lane_charts, lane_rows, spark_span
from pdctl.tui.pulse_view import AlertView, PulseView, TargetView
from pdctl.tui.spans import (
    EMPTY,
    Ink,
    Inked,
    Span,
    beside,
    cell,
    clipped,
    justified,
    of_level,
    pad,
    plain,
    width,
    wrapped,
)
from pdctl.tui.sparks import bar

NARROW_LINK: Final = 12
WIDE_LINK: Final = 26
WIDE: Final = 110
"""From here on, there is room for names in full, charts and units."""
ALERT_LINES: Final = 5


def pulse_lines(
    view: PulseView, history: History, columns: int, rows: int, *, ascii_only: bool = False
) -> tuple[Inked, ...]:
    """Exactly as many lines as there are rows, or more where a cluster has more to say: then the screen scrolls."""
    top = [*_clients(view, history, columns), _verdict(view, columns), EMPTY]
    bottom = [EMPTY, _router(view, columns), *_alerts(view.alerts, columns, _alert_room(rows)), *_notes(view, columns)]
    room = Room(columns, max(0, rows - len(top) - len(bottom)), ascii_only)
    middle = list(_lanes(view, history, room))
    lines = [*top, *middle, *bottom]
    if len(lines) < rows:  # the router's line and the alerts stay at the foot
        lines = [*top, *middle, *([EMPTY] * (rows - len(lines))), *bottom]
    return tuple(lines)


def _alert_room(rows: int) -> int:
    return ALERT_LINES if rows < 30 else max(ALERT_LINES, rows // 4)


def _clients(view: PulseView, history: History, columns: int) -> list[Inked]:
    """What clients get, one latency a line, with its share of the goal."""
    wide = columns >= WIDE
    head: Inked = (
        Span(f"{'CLIENTS':9}", Ink.TITLE),
        Span(f"{'p50':>11} {'p99':>11}   ", Ink.DIM),
    )
    both = f"both targets {view.both.text}" + (f" {view.both.age}" if view.both.age else "")
    goal: Inked = (
        Span(f"{both}  ", Ink.DIM),
        Span(f"goal {view.goal}  last {view.window_s} s", Ink.DIM),
    )
    return [justified(head, goal, columns), *(_target(target, history, columns, wide) for target in view.targets)]


def _target(target: TargetView, history: History, columns: int, wide: bool) -> Inked:
    ink = of_level(target.level)
    share = target.attained
    right: Inked = (
        Span(f"{target.target:>7} ", Ink.DIM),
        Span(bar(share.value or 0.0, 20 if wide else 10), ink if share.value is not None else Ink.DIM),
        Span(f" {share.text:>8} ", ink),
        Span(glyph(target.level), ink),
    )
    left: Inked = (
        Span(f"{target.label:9}", Ink.BOLD),
        figure_span(target.p50, 11),
        Span(" "),
        figure_span(target.p99, 11),
        Span(" "),
        cell(target.trend.text if wide else target.trend.sign, 6 if wide else 1, of_level(target.trend.level)),
        Span(" "),
    )
    if age := target.p99.age or target.p50.age:
        return justified((*left, Span(age, Ink.DIM)), right, columns)
    room = columns - width(left) - width(right) - 2
    return justified((*left, spark_span(history, target.key, min(room, 60), Ink.BASE)), right, columns)


def _verdict(view: PulseView, columns: int) -> Inked:
    ink = of_level(view.verdict_level)
    sign = glyph(view.verdict_level)
    text = clipped(view.verdict, columns - 2)
    return pad((Span(f"{sign} ", ink), Span(text, ink if view.verdict_level is not Level.GOOD else Ink.BASE)), columns)


def _lanes(view: PulseView, history: History, room: Room) -> tuple[Inked, ...]:
    """Two lanes side by side with the link between; any other lane below."""
    pair = view.lanes[:2] if view.link is not None else ()
    rest = view.lanes[len(pair) :]
    share = room.rows // (bool(pair) + len(rest) or 1)
    lines: list[Inked] = []
    if pair:
        lines += _pair(view, history, replace(room, rows=share))
    for lane in rest:
        one = lane_rows(lane, history, replace(room, rows=share))
        lines += [*one, *lane_charts(lane, history, replace(room, rows=share - len(one)))]
    return tuple(pad(line, room.columns) for line in lines)


def _pair(view: PulseView, history: History, room: Room) -> tuple[Inked, ...]:
    assert view.link is not None
    middle = WIDE_LINK if room.columns >= WIDE else NARROW_LINK
    left = (room.columns - middle) // 2
    widths = (left, room.columns - middle - left)
    lanes = [
        lane_rows(lane, history, replace(room, columns=columns))
        for lane, columns in zip(view.lanes, widths, strict=False)
    ]
    high = max(len(lines) for lines in lanes)
    under = replace(room, rows=room.rows - high)
    for lines, lane, columns in zip(lanes, view.lanes, widths, strict=False):
        lines += [EMPTY] * (high - len(lines))
        lines += lane_charts(lane, history, replace(under, columns=columns))
    total = max(len(lines) for lines in lanes)
    link = link_block(view.link, history, Room(middle, total, room.ascii_only))
    return beside([(lanes[0], widths[0]), (link, middle), (lanes[1], widths[1])], total)


def _router(view: PulseView, columns: int) -> Inked:
    level = view.router_level
    line: Inked = (Span(f"{glyph(level)} ", of_level(level)), Span("router ", Ink.BOLD), Span(view.router_word))
    for word, figure in view.router:
        value: Inked = (Span(figure.text, of_level(figure.level)),)
        after = f" {word}" + (f" {figure.age} ago" if figure.age else "")
        item: Inked = (Span(" · ", Ink.DIM), *value, Span(after, Ink.DIM))
        if width(line) + width(item) <= columns:
            line = (*line, *item)
    return pad(line, columns)


def _alerts(alerts: tuple[AlertView, ...], columns: int, room: int) -> list[Inked]:
    """The worst first; the hint of the first ones while there is room; how many there are besides."""
    if not alerts:
        return [(Span("· no alerts", Ink.DIM),)]
    lines: list[Inked] = []
    for place, alert in enumerate(alerts):
        left = room - len(lines)
        following = len(alerts) - place - 1
        if left <= 1 and following:
            lines.append((Span(f"  and {following + 1} more: Health shows them all", Ink.DIM),))
            break
        lines.append(alert_line(alert, columns))
        if alert.hint and left - 1 > 2 * following:
            lines.append((Span("  "), Span(clipped(alert.hint, columns - 2), Ink.DIM)))
    return lines


def alert_line(alert: AlertView, columns: int) -> Inked:
    """Level, subject, cause, and for how long."""
    ink = of_level(alert.level)
    when: Inked = (Span(f"  {alert.when}", Ink.DIM),)
    head: Inked = (Span(f"{glyph(alert.level)} ", ink), Span(f"{alert.subject} ", Ink.BOLD))
    cause = clipped(alert.cause, max(8, columns - width(head) - width(when)))
    return justified((*head, Span(cause, ink if alert.level is Level.BAD else Ink.BASE)), when, columns)


def _notes(view: PulseView, columns: int) -> list[Inked]:
    return [(Span(line, Ink.DIM),) for note in view.notes[:2] for line in wrapped(note, columns)[:1]]


def text_of(lines: tuple[Inked, ...]) -> str:
    """As a text file has it: no inks, no blanks at line ends."""
    return "\n".join(plain(line).rstrip() for line in lines)
