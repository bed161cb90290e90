"""Health: alerts that stand and what a check of the nodes found, the most urgent first, with evidence and a fix."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from textual import events, work
from textual.app import ComposeResult
from textual.containers import Vertical

from pdctl.errors import PdctlError
from pdctl.health.report import Report
from pdctl.model.snapshot import Snapshot
from pdctl.tui.fleet_table import FleetTable
from pdctl.tui.health_view import Checking, HealthRow, detail_lines, health_columns, health_rows, summary
from pdctl.tui.screens.tabled import TabledScreen
from pdctl.tui.widgets.canvas import Canvas


class HealthScreen(TabledScreen):
    """The check runs beside the screen: once when it is first looked at, and whenever it is asked for. Its result keeps
    its age."""

    VIEW = "health"
    DEFAULT_CSS = """
    HealthScreen #summary { height: 2; }
    HealthScreen #detail { height: 40%; max-height: 16; min-height: 7; border-top: solid $panel; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.report: Report | None = None
        self.checking = Checking()
        self.passed = False
        self.fleet: FleetTable[HealthRow] = FleetTable(
            health_columns(ascii_only=self.pdctl.settings.ascii_only),
            key=lambda row: row.id,
            look=lambda: self.look,
            sort_by="state",
            id="findings",
        )
        self.summary = Canvas(lambda: self.look, id="summary")
        self.summary.can_focus = False
        self.detail = Canvas(lambda: self.look, id="detail")

    @property
    def table(self) -> FleetTable[Any]:
        return self.fleet

    def body(self) -> ComposeResult:
        with Vertical():
            yield self.summary
            yield self.fleet
            yield self.detail

    def plural(self) -> str:
        return "findings"

    def on_mount(self) -> None:
        self.check()

    def show(self, snapshot: Snapshot) -> None:
        self._show()

    def take(self, snapshot: Snapshot | None) -> None:
        """Ages grow where nothing new came."""
        super().take(snapshot)
        if snapshot is None:
            self._show()

    def _show(self) -> None:
        now_s = self.pdctl.wall()
        rows = health_rows(self.seen, self.report, now_s, passed=self.passed)
        self.fleet.set_rows(rows)
        self.summary.set_lines((summary(self.report, rows, self.checking, now_s),))
        self._show_detail()
        self.redraw()

    def _show_detail(self) -> None:
        width = max(20, self.detail.size.width - 1)
        self.detail.set_lines(detail_lines(self.fleet.current, width, checked=self.report is not None))

    def on_fleet_table_moved(self, message: FleetTable.Moved) -> None:
        self._show_detail()

    def action_recheck(self) -> None:
        """Check again, unless a check is under way."""
        if self.checking.began_s is None:
            self.check()

    def action_passed(self) -> None:
        """Show what passed too, or no more."""
        self.passed = not self.passed
        self._show()

    @work(exclusive=True, group="check", exit_on_error=False, description="a check of all nodes")
    async def check(self) -> None:
        """In the background: a node that hangs holds up nothing but its own answer. A failed check leaves the last."""
        self.checking = replace(self.checking, began_s=self.pdctl.wall())
        self._show()
        trouble = ""
        try:
            self.report = await self.pdctl.operations.health()
        except PdctlError as error:
            trouble = f"{error.message}. {error.hint}" if error.hint else error.message
        except Exception as error:  # a defect of a check is said, and the screen goes on
            trouble = f"internal error: {error!r}"
        ended_s = self.checking.ended_s if trouble else self.pdctl.wall()
        self.checking = Checking(ended_s, None, trouble)
        self._show()

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self._show)
