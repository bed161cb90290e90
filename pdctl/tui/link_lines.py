"""The link of Pulse, between the lanes: an arrow, what it carries, what a hand-off takes, which pairs work. Pure."""

from __future__ import annotations

from typing import Final

from pdctl.tui.history import History
from pdctl.tui.levels import glyph
from pdctl.tui.link_view import CANARY, LinkView
from pdctl.tui.plots import Plot, Room, plot_lines, say_bytes
from pdctl.tui.pulse_lanes import spark_span
from pdctl.tui.shown import Shown
from pdctl.tui.spans import EMPTY, Ink, Inked, Span, clipped, fit, of_level, width

CHART_ROWS: Final = 9


def link_block(link: LinkView, history: History, room: Room) -> tuple[Inked, ...]:
    """Centred lines; the first is level with the lanes' headings."""
    inner = room.columns - 2
    wide = inner >= 20
    lines: list[Inked] = [
        _centred((Span("KV", Ink.TITLE),), room.columns),
        _centred(_figure(link.rate, inner), room.columns),
        _centred((Span(link.basis, Ink.DIM),), room.columns),
        _centred((Span("━" * (inner - 1) + "▶", of_level(link.level)),), room.columns),
        _centred((Span(f"{link.handoff_by} p99" if wide else link.handoff_by, Ink.DIM),), room.columns),
        _centred((*_figure(link.handoff, inner - 4), Span(_what(link) if wide else " p99", Ink.DIM)), room.columns),
        _centred((Span(f"{glyph(link.level)} ", of_level(link.level)), Span(_pairs(link, inner - 2))), room.columns),
    ]
    if wide:
        lines.insert(3, _centred((spark_span(history, link.key, inner, Ink.BASE),), room.columns))
    left = room.rows - len(lines) - 2
    if wide and left >= 4 and link.rate.value is not None:
        plot = Plot("KV", link.key, say_bytes)
        drawn = plot_lines(plot, history, Room(inner, min(left, CHART_ROWS), room.ascii_only))
        lines += [EMPTY, *((Span(" "), *line) for line in drawn)]
    return tuple(lines[: room.rows]) or (EMPTY,)


def _what(link: LinkView) -> str:
    """A canary's time is that of a whole tiny request, which is more than KV that is handed over."""
    return " both legs" if link.handoff_by == CANARY else " each"


def _pairs(link: LinkView, columns: int) -> str:
    """Where not all states fit, the worst."""
    return link.pairs if len(link.pairs) <= columns else clipped(link.pairs.partition(",")[0], columns)


def _figure(figure: Shown, columns: int) -> Inked:
    """Its bound alone where the interval does not fit."""
    text = figure.text if len(figure.text) <= columns else figure.short
    if figure.age:
        return (Span(text, Ink.DIM), Span(f" {figure.age}", Ink.DIM))
    return (Span(text, of_level(figure.level)),)


def _centred(line: Inked, columns: int) -> Inked:
    gap = max(0, (columns - width(line)) // 2)
    return (Span(fit("", gap)), *line)
