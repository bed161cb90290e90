"""The fleet as a table: nodes, slots or instances, filtered and sorted, and what can be done with the selected row."""

from __future__ import annotations

from rich.segment import Segment
from textual.app import ComposeResult
from textual.strip import Strip

from pdctl.model.snapshot import Snapshot
from pdctl.text.duration import duration
from pdctl.text.escape import one_line
from pdctl.tui.columns import ColumnSpec
from pdctl.tui.fleet_columns import fleet_columns
from pdctl.tui.fleet_rows import FleetRow, Rows, fleet_rows
from pdctl.tui.fleet_table import FleetTable
from pdctl.tui.palette import Palette
from pdctl.tui.screens.tabled import TabledScreen
from pdctl.tui.widgets.bars import Line


class NodesScreen(TabledScreen):
    """One row a node; `v` turns to slots and instances."""

    VIEW = "nodes"

    def __init__(self) -> None:
        super().__init__()
        self.rows = Rows.NODES
        self.fleet: FleetTable[FleetRow] = FleetTable(
            self._columns(),
            key=lambda row: row.id,
            look=lambda: self.look,
            old=lambda row: row.old_s,
            sort_by="state",
            id="fleet",
        )

        self.detail = Line(self._detail, lambda: self.look)

    @property
    def table(self) -> FleetTable[FleetRow]:
        return self.fleet

    def body(self) -> ComposeResult:
        yield self.fleet
        yield self.detail

    def show(self, snapshot: Snapshot) -> None:
        self.fleet.set_rows(fleet_rows(snapshot, self.rows))
        self.detail.again()
        self.redraw()

    def _detail(self, look: Palette, width: int) -> Strip:
        """What a narrow table has no room for: why the selected row is as it is, and what it stands for."""
        row = self.fleet.current
        if row is None:
            return Strip.blank(width, look.base)
        engines = ", ".join(row.instances) or "no engine"
        what = f" {row.id}" if engines == row.id else f" {row.id}: {engines}"
        old = f" · last heard {duration(row.old_s)} ago" if row.old_s is not None else ""
        why = f" · {one_line(row.why)}" if row.why else ""
        strip = Strip([Segment(what, look.dim), Segment(why, look.level(row.level)), Segment(old, look.dim)])
        return strip.adjust_cell_length(width, look.base)

    def on_fleet_table_moved(self, message: FleetTable.Moved) -> None:
        self.detail.again()

    def subject(self) -> str:
        return self.fleet.cursor_id

    def selectors(self) -> tuple[str, ...]:
        """An instance stands for its slot, which is what can be moved."""
        row = self.fleet.current
        if row is None:
            return ()
        return row.slots if self.rows is Rows.INSTANCES else (row.id,)

    def plural(self) -> str:
        return self.rows.value

    def _columns(self) -> tuple[ColumnSpec[FleetRow], ...]:
        return fleet_columns(self.rows, ascii_only=self.pdctl.settings.ascii_only)

    def action_rows(self) -> None:
        """The next kind of rows; the cursor stays on the same node."""
        node = self.fleet.current.node if self.fleet.current is not None else ""
        self.rows = self.rows.following
        self.fleet.set_columns(self._columns(), sort_by="state")
        if self.seen is not None:
            self.show(self.seen)
        self.fleet.select(next((row.id for row in self.fleet.shown_rows if row.node == node), self.fleet.cursor_id))

    def on_fleet_table_chosen(self, message: FleetTable.Chosen) -> None:
        from pdctl.tui.screens.node import NodeScreen

        row = self.fleet.current
        if row is not None:
            self.app.push_screen(NodeScreen(row.node))

    def action_move(self) -> None:
        self.pdctl.begin_change("move", self.selectors())

    def action_drain(self) -> None:
        self.pdctl.begin_change("drain", self.selectors())

    def action_undrain(self) -> None:
        self.pdctl.begin_change("undrain", self.selectors())

    def action_restart(self) -> None:
        self.pdctl.begin_change("restart", self.selectors())

    def action_open_logs(self) -> None:
        row = self.fleet.current
        if row is not None and row.instances:
            self.pdctl.follow_logs(row.instances)
