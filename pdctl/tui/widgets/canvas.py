"""Lines of inked text, painted in a theme's styles: a tick paints the lines that say something else, and no more."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from pdctl.model.role import Role
from pdctl.tui.levels import Level
from pdctl.tui.palette import Palette
from pdctl.tui.spans import HEATS, Ink, Inked, of_heat, of_level, of_role, to_ascii


def ink_styles(look: Palette) -> dict[Ink, Style]:
    """The styles of a palette by ink."""
    styles = {Ink.BASE: look.base, Ink.BOLD: look.bold, Ink.DIM: look.dim, Ink.TITLE: look.title}
    styles |= {of_level(level): look.level(level) for level in Level if level not in (Level.PLAIN, Level.DIM)}
    styles |= {of_role(role): look.roles[role] for role in Role}
    return styles | {of_heat(step): look.heat[step] for step in range(HEATS)}


def inked_strip(line: Inked, look: Palette, styles: dict[Ink, Style], width: int) -> Strip:
    """One line, exactly `width` wide, on the theme's ground."""
    if look.ascii_only:
        line = to_ascii(line)
    segments = [
        Segment(span.text, styles[span.ink] + look.cursor if span.chosen else styles[span.ink])
        for span in line
        if span.text
    ]
    return Strip(segments).adjust_cell_length(width, look.base).simplify()


class Canvas(ScrollView, can_focus=True):
    """Shows `lines`; more of them than fit can be scrolled through. `look` gives the palette of the moment."""

    DEFAULT_CSS = """
    Canvas {
        height: 1fr; width: 1fr; padding: 0 1; background: $background;
        scrollbar-size-horizontal: 0; scrollbar-size-vertical: 1;
        scrollbar-background: $background; scrollbar-background-hover: $background;
        scrollbar-background-active: $background;
    }
    """

    def __init__(self, look: Callable[[], Palette], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._look = look
        self._lines: tuple[Inked, ...] = ()
        self._styles: tuple[Palette, dict[Ink, Style]] | None = None
        self.painted_lines = 0  # how often a line was drawn: what the budget test counts

    @property
    def lines(self) -> tuple[Inked, ...]:
        """What it shows."""
        return self._lines

    def set_lines(self, lines: Sequence[Inked]) -> None:
        """Show these. Lines that say the same as before are not painted again."""
        before, self._lines = self._lines, tuple(lines)
        size = Size(self.size.width, len(self._lines))
        if size != self.virtual_size:
            self.virtual_size = size
        top = int(self.scroll_offset.y)
        changed = [
            Region(0, row, self.size.width, 1)
            for row in range(self.size.height)
            if _at(before, top + row) != _at(self._lines, top + row)
        ]
        if changed:
            self.refresh(*changed)

    def show_line(self, place: int) -> None:
        """Scroll as little as is needed to see that line."""
        top, height = int(self.scroll_offset.y), self.size.height
        if place < top:
            self.scroll_to(y=place, animate=False, immediate=True)
        elif height and place >= top + height:
            self.scroll_to(y=place - height + 1, animate=False, immediate=True)

    def render_line(self, y: int) -> Strip:
        self.painted_lines += 1
        look = self._look()
        if self._styles is None or self._styles[0] is not look:
            self._styles = (look, ink_styles(look))
        line = _at(self._lines, int(self.scroll_offset.y) + y)
        return inked_strip(line or (), look, self._styles[1], self.size.width)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self.refresh()


def _at(lines: Sequence[Inked], place: int) -> Inked | None:
    return lines[place] if place < len(lines) else None
