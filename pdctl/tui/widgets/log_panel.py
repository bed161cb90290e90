"""The log of several units, drawn line by line from a bounded buffer: it follows, or stays where its reader is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from pdctl.model.observed import Trouble
from pdctl.supervisors.ports import LogLine
from pdctl.tui.log_buffer import Entry, LogBuffer, matches, nearest
from pdctl.tui.log_level import LogLevel
from pdctl.tui.log_lines import Columns, Layout, columns_of, entry_line, lay_out
from pdctl.tui.palette import Palette
from pdctl.tui.spans import Ink
from pdctl.tui.widgets.canvas import ink_styles, inked_strip

Order = tuple[float, int]


class LogPanel(ScrollView, can_focus=True):
    """`take` adds lines. While `following` the newest is seen; a step up pauses, and `fresh` counts what came since."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "cursor(-1)", "Up", show=False),
        Binding("down,j", "cursor(1)", "Down", show=False),
        Binding("shift+up,K", "cursor(-1, True)", "Select up", show=False),
        Binding("shift+down,J", "cursor(1, True)", "Select down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home,g", "edge(-1)", "Oldest", show=False),
        Binding("end,G", "edge(1)", "Newest", show=False),
    ]
    DEFAULT_CSS = """
    LogPanel { height: 1fr; width: 1fr; scrollbar-size-horizontal: 0; scrollbar-size-vertical: 1; }
    """

    class Changed(Message):
        """It follows or pauses, more lines came, or another one is searched for."""

    def __init__(self, look: Callable[[], Palette], *, buffer: LogBuffer | None = None, id: str | None = None) -> None:
        super().__init__(id=id)
        self._look = look
        self.buffer = LogBuffer() if buffer is None else buffer
        self.following, self.wrap, self.fresh = True, False, 0
        self.searched = ""
        self._cursor: Order | None = None
        self._anchor: Order | None = None
        self._units: list[str] = []
        self._times = False
        self._columns = Columns(times=False, tag=0)
        self._layout = Layout(0)
        self._styles: tuple[Palette, dict[Ink, Style]] | None = None
        self.painted_lines = 0  # how often a line was drawn: what the budget test counts

    # --- lines

    def take(self, heard: Sequence[tuple[str, LogLine | Trouble]], heard_s: float) -> None:
        """Lines that came, in the order of their coming; the view moves only while it follows."""
        top = None if self.following else self._top()
        for unit, line in heard:
            entry = self.buffer.add(unit, line, heard_s)
            self._times = self._times or entry.at is not None
            if unit not in self._units:
                self._units.append(unit)
        if not self.following:
            self.fresh += len(heard)
        self._arrange(top)

    def begin(self, units: Sequence[str]) -> None:
        """Forget all, and expect these units."""
        self.buffer = LogBuffer(self.buffer.capacity, self.buffer.least)
        self._units, self._times = list(units), False
        self._cursor = self._anchor = None
        self.following, self.fresh = True, 0
        self._arrange(None)

    def show_from(self, least: LogLevel) -> None:
        """Show lines of that level and up."""
        top = self._top()
        self.buffer.show_from(least)
        self._arrange(None if self.following else top)

    def set_wrap(self, wrap: bool) -> None:
        """Long lines go on in the next row, or are cut at the edge."""
        top = self._top()
        self.wrap = wrap
        self._arrange(None if self.following else top)

    def _top(self) -> Order | None:
        """The entry in the first row that is seen."""
        row = int(self.scroll_offset.y)
        if not 0 <= row < self._layout.rows:
            return None
        place, _ = self._layout.entry_at(row)
        return self.buffer.shown[place].order if place < len(self.buffer.shown) else None

    def _arrange(self, top: Order | None) -> None:
        """Lay all out anew, and keep `top` where it is (None: show the newest)."""
        width = self.size.width
        self._columns = columns_of(self._units, times=self._times, width=width)
        self._layout = lay_out(self.buffer.shown, max(1, width - self._columns.lead), wrap=self.wrap)
        self.virtual_size = Size(width, self._layout.rows)
        if self.following:
            self._cursor = self.buffer.shown[-1].order if self.buffer.shown else None
            self._anchor = None
            self.scroll_to(y=self._layout.rows, animate=False, immediate=True, force=True)
        elif top is not None:
            place = min(self.buffer.place(top), max(0, len(self.buffer.shown) - 1))
            self.scroll_to(y=self._layout.row_of(place), animate=False, immediate=True, force=True)
        self.refresh()
        self.post_message(self.Changed())

    # --- the cursor

    def follow(self) -> None:
        """Show the newest from now on."""
        self.following, self.fresh = True, 0
        self._arrange(None)

    def pause(self) -> None:
        """Stay where it is."""
        if self.following:
            self.following = False
            self.post_message(self.Changed())

    @property
    def place(self) -> int | None:
        """Of the cursor's entry among the shown ones."""
        shown = self.buffer.shown
        if not shown:
            return None
        return len(shown) - 1 if self._cursor is None else min(self.buffer.place(self._cursor), len(shown) - 1)

    def selected(self) -> tuple[Entry, ...]:
        """The entry under the cursor, or all between where the selection began and it."""
        here = self.place
        if here is None:
            return ()
        there = here if self._anchor is None else min(self.buffer.place(self._anchor), len(self.buffer.shown) - 1)
        return tuple(self.buffer.shown[min(here, there) : max(here, there) + 1])

    def _go(self, place: int, *, select: bool = False) -> None:
        shown = self.buffer.shown
        if not shown:
            return
        self._anchor = (self._anchor or self._cursor) if select else None
        place = min(max(place, 0), len(shown) - 1)
        self._cursor = shown[place].order
        self.following = False
        row, height = self._layout.row_of(place), self.size.height
        top = int(self.scroll_offset.y)
        if row < top:
            self.scroll_to(y=row, animate=False, immediate=True)
        elif height and row >= top + height:
            self.scroll_to(y=row - height + 1, animate=False, immediate=True)
        self.refresh()
        self.post_message(self.Changed())

    def action_cursor(self, step: int, select: bool = False) -> None:
        self._go((self.place or 0) + step, select=select)

    def action_page(self, step: int) -> None:
        self._go((self.place or 0) + step * max(1, self.size.height - 1))

    def action_edge(self, step: int) -> None:
        if step > 0:
            self.follow()
        else:
            self._go(0)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self.pause()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        if not self.following and self.scroll_offset.y + 3 >= self.max_scroll_y:
            self.follow()

    def on_click(self, event: events.Click) -> None:
        row = int(self.scroll_offset.y) + event.y
        if row < self._layout.rows:
            self._go(self._layout.entry_at(row)[0], select=event.shift)

    # --- search

    def search(self, text: str) -> int:
        """Mark what holds `text`, and go to the last one at or above the cursor. How many there are."""
        self.searched = text
        found = matches(self.buffer.shown, text)
        here = self.place
        if found and here is not None and here not in found:
            place = nearest(found, here, forward=False)
            if place is not None:
                self._go(place)
        self.refresh()
        self.post_message(self.Changed())
        return len(found)

    def search_next(self, *, forward: bool) -> bool:
        """Go to the next one that matches; False where there is none."""
        found = matches(self.buffer.shown, self.searched)
        place = nearest(found, self.place or 0, forward=forward)
        if place is None:
            return False
        self._go(place)
        return True

    def search_place(self) -> tuple[int, int]:
        """(which match the cursor is on or behind, of how many)."""
        found = matches(self.buffer.shown, self.searched)
        here = self.place
        return (0 if here is None else sum(place <= here for place in found)), len(found)

    # --- painting

    def on_resize(self, event: events.Resize) -> None:
        self._arrange(None if self.following else self._top())

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        self.painted_lines += 1
        look, width, row = self._look(), self.size.width, int(self.scroll_offset.y) + y
        if row >= self._layout.rows:
            return Strip.blank(width, look.base)
        place, part = self._layout.entry_at(row)
        if place >= len(self.buffer.shown):
            return Strip.blank(width, look.base)
        entry = self.buffer.shown[place]
        line = entry_line(
            entry, part, self._columns, width, wrap=self.wrap, found=self.searched, chosen=self._is_chosen(entry)
        )
        if self._styles is None or self._styles[0] is not look:
            self._styles = (look, ink_styles(look))
        return inked_strip(line, look, self._styles[1], width)

    def _is_chosen(self, entry: Entry) -> bool:
        if self._cursor is None or self.following:
            return False
        if self._anchor is None:
            return entry.order == self._cursor
        return min(self._anchor, self._cursor) <= entry.order <= max(self._anchor, self._cursor)
