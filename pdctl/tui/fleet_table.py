"""A table for a fleet, drawn line by line: a tick costs what changed on the screen, however many rows there are.

The cursor stays on its row, not on its line; rows move only for a clear difference, and not while the operator moves.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import ClassVar, Generic, TypeVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.cache import LRUCache
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from pdctl.tui.columns import Align, ColumnSpec, Placed, lay_out
from pdctl.tui.filter import RowFilter, parse_filter
from pdctl.tui.levels import Level
from pdctl.tui.ordering import Ordering
from pdctl.tui.palette import Palette
from pdctl.tui.strips import fitted, row_strip

R = TypeVar("R")

FREEZE_S = 3.0
"""Rows keep their places for so long after the operator moved the cursor."""


class FleetTable(ScrollView, Generic[R], can_focus=True):
    """Rows of type R, shown by `columns`, known by `key`. `old` says how old a row is where it is stale (else None).

    `set_rows` takes the newest rows in any order. `cursor_id` and `current` are the selected row's; messages:
    `Chosen` (enter), `Moved` (the cursor is on another row).
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "cursor(-1)", "Up", show=False),
        Binding("down,j", "cursor(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home,g", "edge(-1)", "First", show=False),
        Binding("end,G", "edge(1)", "Last", show=False),
        Binding("enter", "choose", "Open", show=False),
    ]
    DEFAULT_CSS = """
    FleetTable { height: 1fr; width: 1fr; scrollbar-size-horizontal: 0; scrollbar-size-vertical: 1; }
    """

    class Chosen(Message):
        """Enter, or a click on the row that the cursor was on."""

        def __init__(self, row_id: str) -> None:
            super().__init__()
            self.row_id = row_id

    class Moved(Message):
        """The cursor is on another row, or on none ("")."""

        def __init__(self, row_id: str) -> None:
            super().__init__()
            self.row_id = row_id

    def __init__(
        self,
        columns: Sequence[ColumnSpec[R]],
        *,
        key: Callable[[R], str],
        look: Callable[[], Palette],
        old: Callable[[R], float | None] = lambda row: None,
        sort_by: str = "",
        descending: bool = False,
        moment: Callable[[], float] = time.monotonic,
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self.columns: tuple[ColumnSpec[R], ...] = tuple(columns)
        self._key, self._old, self._look, self._moment = key, old, look, moment
        self.sort_by, self.descending = sort_by or self.columns[0].name, descending
        self.row_filter: RowFilter[R] = parse_filter("", self.columns)
        self.cursor_id = ""
        self._rows: dict[str, R] = {}
        self._order: list[str] = []
        self._ordering = Ordering()
        self._moved_at = float("-inf")
        self._placed: tuple[Placed[R], ...] = ()
        self._painted: dict[int, tuple[object, ...]] = {}  # by line on the screen: what is there
        self._strips: LRUCache[tuple[object, ...], Strip] = LRUCache(1024)
        self.painted_lines = 0  # how often a line was drawn: what the budget test counts

    # --- what is in it

    @property
    def current(self) -> R | None:
        """The row under the cursor."""
        return self._rows.get(self.cursor_id)

    @property
    def shown_rows(self) -> tuple[R, ...]:
        """The rows that the filter lets through, in their order."""
        return tuple(self._rows[name] for name in self._order)

    @property
    def all_rows(self) -> tuple[R, ...]:
        """Every row that was given, in no order."""
        return tuple(self._rows.values())

    def set_columns(self, columns: Sequence[ColumnSpec[R]], *, sort_by: str = "", descending: bool = False) -> None:
        """Other columns, for rows of another kind. A filter that no longer makes sense is dropped."""
        self.columns = tuple(columns)
        self.sort_by, self.descending = sort_by or self.columns[0].name, descending
        try:
            self.row_filter = parse_filter(self.row_filter.text, self.columns)
        except ValueError:
            self.row_filter = parse_filter("", self.columns)
        self._rows, self._order = {}, []
        self._ordering.restart()
        self._place()

    def set_rows(self, rows: Sequence[R]) -> None:
        """The newest rows. Lines whose cells say the same are not painted again."""
        self._rows = {self._key(row): row for row in rows}
        self._arrange()

    def set_filter(self, text: str) -> None:
        """Show only rows that match. Raises FilterError, and then nothing changes."""
        self.row_filter = parse_filter(text, self.columns)
        self._ordering.restart()
        self._arrange()

    def set_sort(self, name: str, *, descending: bool) -> None:
        """Order by that column. Raises StopIteration for a name that is none."""
        next(column for column in self.columns if column.name == name)
        self.sort_by, self.descending = name, descending
        self._ordering.restart()
        self._arrange()
        self.refresh(Region(0, 0, self.size.width, 1))

    def sort_next(self) -> None:
        """Order by the next column that is shown."""
        names = [placed.column.name for placed in self._placed] or [column.name for column in self.columns]
        place = names.index(self.sort_by) if self.sort_by in names else -1
        self.set_sort(names[(place + 1) % len(names)], descending=self.descending)

    def _arrange(self) -> None:
        column = next(item for item in self.columns if item.name == self.sort_by)
        keys = {name: column.key(row) for name, row in self._rows.items() if self.row_filter(row)}
        frozen = self._moment() - self._moved_at < FREEZE_S
        before = self.cursor_line
        self._order = list(self._ordering.take(keys, descending=self.descending, frozen=frozen))
        if self.cursor_id not in keys:
            line = min(before if before is not None else 0, len(self._order) - 1)
            self._point_to(self._order[line] if self._order else "")
        size = Size(self.size.width, len(self._order) + 1)
        if size != self.virtual_size:
            self.virtual_size = size
        self._repaint()

    # --- painting

    def _place(self) -> None:
        self._placed = lay_out(self.columns, max(1, self.size.width - 2))
        self._painted.clear()
        self.refresh()

    def on_resize(self, event: events.Resize) -> None:
        self._place()

    def _version(self, name: str, row: R) -> tuple[object, ...]:
        """All that a line shows; equal versions are equal strips."""
        old_s = self._old(row)
        cells = tuple((placed.column.text(row), placed.column.level(row)) for placed in self._placed)
        return (name, name == self.cursor_id, old_s is not None, cells, self.size.width, self.has_focus)

    def _repaint(self) -> None:
        """Ask for those lines whose text or level is not what was painted there."""
        top, width = int(self.scroll_offset.y), self.size.width
        changed: list[Region] = []
        for line in range(1, self.size.height):
            place = top + line - 1
            name = self._order[place] if place < len(self._order) else ""
            version = self._version(name, self._rows[name]) if name else ()
            if self._painted.get(line) != version:
                changed.append(Region(0, line, width, 1))
        if changed:
            self.refresh(*changed)

    def render_line(self, y: int) -> Strip:
        self.painted_lines += 1
        look, width = self._look(), self.size.width
        if y == 0:
            return self._header(look, width)
        place = int(self.scroll_offset.y) + y - 1
        if place >= len(self._order):
            self._painted[y] = ()
            return Strip.blank(width, look.base)
        name = self._order[place]
        version = self._version(name, self._rows[name])
        self._painted[y] = version
        key = (version, id(look))
        strip = self._strips.get(key)
        if strip is None:
            strip = self._row(name, look, width)
            self._strips[key] = strip
        return strip

    def _header(self, look: Palette, width: int) -> Strip:
        segments = [Segment(" ", look.dim)]
        for placed in self._placed:
            here = placed.column.name == self.sort_by
            mark = ("v" if self.descending else "^") if look.ascii_only else ("▼" if self.descending else "▲")
            text = f"{placed.column.header[: placed.width - 1]}{mark}" if here else placed.column.header
            style = look.title if here else look.dim
            segments += [
                Segment(fitted(text, placed.width, right=placed.column.align is Align.RIGHT), style),
                Segment("  ", look.dim),
            ]
        return Strip(segments).adjust_cell_length(width, look.base)

    def _row(self, name: str, look: Palette, width: int) -> Strip:
        row = self._rows[name]
        old = self._old(row) is not None
        cells = [
            (
                fitted(placed.column.text(row), placed.width, right=placed.column.align is Align.RIGHT),
                look.dim if old and placed.column.level(row) is Level.PLAIN else look.level(placed.column.level(row)),
            )
            for placed in self._placed
        ]
        selected = name == self.cursor_id
        cursor = look.cursor + (Style(bold=True) if self.has_focus else Style()) if selected else None
        return row_strip(cells, width, look, cursor)

    # --- the cursor

    @property
    def cursor_line(self) -> int | None:
        """The place of the cursor's row among the shown ones."""
        return self._order.index(self.cursor_id) if self.cursor_id in self._order else None

    def select(self, row_id: str) -> None:
        """Put the cursor on that row, and show it."""
        if row_id in self._order:
            self._point_to(row_id)
            self._scroll_to_cursor()
            self._repaint()

    def _point_to(self, row_id: str) -> None:
        if row_id != self.cursor_id:
            self.cursor_id = row_id
            self.post_message(self.Moved(row_id))

    def _to_line(self, line: int) -> None:
        self._moved_at = self._moment()
        if self._order:
            self.select(self._order[min(max(line, 0), len(self._order) - 1)])

    def action_cursor(self, step: int) -> None:
        self._to_line((self.cursor_line or 0) + step)

    def action_page(self, step: int) -> None:
        self._to_line((self.cursor_line or 0) + step * max(1, self.size.height - 2))

    def action_edge(self, step: int) -> None:
        self._to_line(0 if step < 0 else len(self._order) - 1)

    def action_choose(self) -> None:
        if self.cursor_id:
            self.post_message(self.Chosen(self.cursor_id))

    def on_click(self, event: events.Click) -> None:
        place = int(self.scroll_offset.y) + event.y - 1
        if event.y == 0:
            self._sort_at(event.x)
        elif place < len(self._order):
            again = self._order[place] == self.cursor_id
            self._to_line(place)
            if again:
                self.action_choose()

    def _sort_at(self, x: int) -> None:
        start = 1
        for placed in self._placed:
            if start <= x < start + placed.width:
                turned = self.sort_by == placed.column.name
                self.set_sort(placed.column.name, descending=not self.descending if turned else self.descending)
                return
            start += placed.width + 2

    def _scroll_to_cursor(self) -> None:
        line, top, height = self.cursor_line, int(self.scroll_offset.y), self.size.height - 1
        if line is None or height <= 0:
            return
        if line < top:
            self.scroll_to(y=line, animate=False, immediate=True)
        elif line >= top + height:
            self.scroll_to(y=line - height + 1, animate=False, immediate=True)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self.refresh()

    def on_focus(self) -> None:
        self._repaint()

    def on_blur(self) -> None:
        self._repaint()
