"""The two lines above every view and the one below it: where we are, how old it is, and what can be done."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from pdctl.model.snapshot import AlertLevel, Snapshot, Source
from pdctl.text.duration import duration
from pdctl.text.escape import one_line
from pdctl.tui.actions import Action, shown_key
from pdctl.tui.levels import Level
from pdctl.tui.palette import Palette
from pdctl.tui.strips import fitted, plain_strip
from pdctl.tui.views import VIEWS

STALE_TICKS = 3.0
"""A live snapshot older than so many intervals is said to be old."""


@dataclass(frozen=True, slots=True)
class Heading:
    """What the first line says. `age_s` None: there is nothing to show yet. `mark` is what a recording
    adds; `past`: a live cluster, some time ago."""

    cluster: str
    snapshot: Snapshot | None
    age_s: float | None
    read_only: str
    trouble: str = ""
    frozen: bool = False
    mark: str = ""
    past: bool = False


@dataclass(frozen=True, slots=True)
class FooterItem:
    """One hint; `enabled` False: refused here and now, shown all the same."""

    action: Action
    enabled: bool


Piece = tuple[str, Style]


def heading_line(heading: Heading, palette: Palette, width: int) -> Strip:
    """` pdctl demo  live 0.4s  [RO]  2 alerts            12:03:44`; what does not fit is cut on the left part's end."""
    left: list[Piece] = [(" pdctl ", palette.bar_strong), (f"{one_line(heading.cluster)}  ", palette.bar + _BOLD)]
    left.append(_source(heading, palette))
    if heading.mark:
        left.append((f"  {heading.mark}", palette.bar_strong))
    if heading.frozen:
        left.append(("  [FROZEN]", palette.bar_strong))
    if heading.read_only:
        left.append(("  [RO]", palette.bar_strong))
    left.append(_alerts(heading.snapshot, palette))
    right: list[Piece] = []
    if heading.snapshot is not None:
        right.append((time.strftime("%H:%M:%S ", time.localtime(heading.snapshot.taken_s)), palette.bar_dim))
    return _between(left, right, palette.bar, width)


def _source(heading: Heading, palette: Palette) -> Piece:
    bar = palette.bar
    if heading.trouble:
        return f"{palette.glyph(Level.BAD)} {one_line(heading.trouble)}", _onto(palette.level(Level.BAD), bar)
    snapshot = heading.snapshot
    if snapshot is None or heading.age_s is None:
        return f"{palette.glyph(Level.UNKNOWN)} nothing seen yet", _onto(palette.level(Level.UNKNOWN), bar)
    if snapshot.source is Source.RECORDING:
        return "past" if heading.past else "recording", palette.bar_strong
    late = heading.age_s > STALE_TICKS * snapshot.interval_s
    level = Level.WARN if late else Level.GOOD
    word = "live" if snapshot.source is Source.LIVE else snapshot.source.value
    return f"{palette.glyph(level)} {word} {duration(heading.age_s)}", _onto(palette.level(level), bar)


def _alerts(snapshot: Snapshot | None, palette: Palette) -> Piece:
    count = sum(1 for alert in snapshot.alerts if alert.level is not AlertLevel.INFO) if snapshot else 0
    if snapshot is None or not count:
        return "", palette.bar
    pages = any(alert.level is AlertLevel.PAGE for alert in snapshot.alerts)
    level = Level.BAD if pages else Level.WARN
    text = f"  {palette.glyph(level)} {count} alert" + ("" if count == 1 else "s")
    return text, _onto(palette.level(level), palette.bar)


def tabs_line(current: str, chip: tuple[str, bool], palette: Palette, width: int) -> Strip:
    """The views and their keys; the current one stands out by more than colour. `chip`: what the view adds at the
    right, and whether it is a complaint, which may cover the tabs."""
    text, wrong = chip
    pieces = _tabs(current, palette, "  ")
    if text and not wrong and _columns(pieces) + cell_len(text) + 1 > width:
        pieces = _tabs(current, palette, " ")
    style = palette.level(Level.BAD) if wrong else palette.dim
    room = width if wrong else width - _columns(pieces)
    right = [(f"{fitted(text, min(cell_len(text), room - 1))} ", style)] if text and room > 8 else []
    return _between(pieces, right, palette.base, width)


def _tabs(current: str, palette: Palette, gap: str) -> list[Piece]:
    pieces: list[Piece] = [(" ", palette.base)]
    for view in VIEWS:
        here = view.id == current
        key, style = (palette.title, palette.title + _REVERSE) if here else (palette.dim, palette.base)
        pieces += [(f"{view.key} ", key), (f" {view.title} " if here else view.title, style), (gap, palette.base)]
    return pieces


def _columns(pieces: Sequence[Piece]) -> int:
    return sum(cell_len(text) for text, _ in pieces)


def footer_line(items: Sequence[FooterItem], palette: Palette, width: int) -> Strip:
    """`m Move  d Drain ...`: as many as fit, greyed and struck where they are refused; `?` always fits."""
    kept = list(items)
    while kept and _width(kept) > width:
        droppable = [item for item in kept if item.action.id not in ("help", "quit")]
        if not droppable:
            break
        kept.remove(droppable[-1])
    pieces: list[Piece] = []
    for item in kept:
        key = palette.bar_strong if item.enabled else palette.bar_dim
        title = palette.bar if item.enabled else palette.bar_dim + _STRUCK
        pieces += [(f" {shown_key(item.action.keys[0])} ", key), (f"{item.action.title} ", title)]
    return _between(pieces, [], palette.bar, width)


def _width(items: Sequence[FooterItem]) -> int:
    return sum(len(shown_key(item.action.keys[0])) + len(item.action.title) + 3 for item in items)


_BOLD = Style(bold=True)
_REVERSE = Style(reverse=True)
_STRUCK = Style(strike=True)


def _onto(style: Style, bar: Style) -> Style:
    return style + Style(bgcolor=bar.bgcolor)


def _between(left: Sequence[Piece], right: Sequence[Piece], fill: Style, width: int) -> Strip:
    room = max(0, width - sum(cell_len(text) for text, _ in right))
    strip = Strip([Segment(text, style) for text, style in left if text]).adjust_cell_length(room, fill)
    return Strip([*strip, *(Segment(text, style) for text, style in right)]).crop(0, width)


class Line(Widget):
    """One line that `draw(palette, width)` gives, painted again only when it says something else."""

    DEFAULT_CSS = "Line { height: 1; width: 1fr; }"

    def __init__(self, draw: Callable[[Palette, int], Strip], palette: Callable[[], Palette]) -> None:
        super().__init__()
        self._draw, self._palette = draw, palette
        self._drawn: Strip | None = None

    def again(self) -> None:
        """What it says may have changed."""
        strip = plain_strip(self._draw(self._palette(), self.size.width), self._palette())
        if self._drawn is None or list(strip) != list(self._drawn):
            self._drawn = strip
            self.refresh()

    def render_line(self, y: int) -> Strip:
        self._drawn = plain_strip(self._draw(self._palette(), self.size.width), self._palette())
        return self._drawn
