"""Every change to the cluster: who, when, what, how it ended; from the journal on the lease node."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from textual import work
from textual.app import ComposeResult
from textual.strip import Strip

from pdctl.errors import PdctlError
from pdctl.model.snapshot import Snapshot
from pdctl.text.duration import duration
from pdctl.tui.activity_columns import activity_columns, run_lines
from pdctl.tui.activity_view import Outcome, RunRecord, runs
from pdctl.tui.fleet_table import FleetTable
from pdctl.tui.palette import Palette
from pdctl.tui.ports import Activity
from pdctl.tui.screens.base import ViewScreen
from pdctl.tui.screens.tabled import TabledScreen
from pdctl.tui.spans import Ink, Span, clipped
from pdctl.tui.widgets.bars import Line
from pdctl.tui.widgets.canvas import Canvas, ink_styles, inked_strip

LINES: Final = 2000
"""Entries of the journal that are read."""
EVERY_S: Final = 5.0


class ActivityScreen(TabledScreen):
    """Runs, the newest first. Enter shows the steps of one. What could not be read anew stays, with its age."""

    VIEW = "activity"

    def __init__(self) -> None:
        super().__init__()
        self.journal = Activity(())
        self.trouble = ""
        self._read_at: float | None = None
        self._asking_since: float | None = None
        self.fleet: FleetTable[RunRecord] = FleetTable(
            activity_columns(ascii_only=self.pdctl.settings.ascii_only),
            key=lambda run: run.run,
            look=lambda: self.look,
            sort_by="when",
            descending=True,
            id="runs",
        )
        self.notice = Line(self._notice_strip, lambda: self.look)
        self.notice.display = False

    @property
    def table(self) -> FleetTable[Any]:
        return self.fleet

    def body(self) -> ComposeResult:
        yield self.notice
        yield self.fleet

    def plural(self) -> str:
        return "runs"

    def on_mount(self) -> None:
        self.read()

    def on_screen_resume(self, event: Any) -> None:
        self.read()

    def show(self, snapshot: Snapshot) -> None:
        """A snapshot says nothing of the journal, but time has passed."""
        self.notice.again()

    @work(exclusive=True, group="journal", exit_on_error=False, description="the cluster's journal")
    async def read(self) -> None:
        """Read the journal now, and every few seconds while it is looked at."""
        while self.is_current:
            self._asking_since = self.pdctl.wall()
            await self._read_once()
            self._asking_since = None
            if not self.is_mounted:
                return
            self._show_runs()
            if not self.pdctl.settings.timers:
                return
            await asyncio.sleep(EVERY_S)

    async def _read_once(self) -> None:
        try:
            found = await self.pdctl.operations.activity(LINES)
        except PdctlError as error:
            self.trouble = error.message
            return
        except Exception as error:  # a defect of ours is said, and the screen goes on
            self.trouble = f"internal error: {error!r}"
            return
        self.trouble = found.trouble
        if not found.trouble:
            self._read_at = self.pdctl.wall()
        if found.entries or not found.trouble:
            self.journal = found

    def _show_runs(self) -> None:
        self.notice.display = bool(self.trouble)
        now_s, entries = self.pdctl.wall(), self.journal.entries
        found = runs(entries, now_s=now_s)
        if found and found[0].outcome is Outcome.OPEN and self.pdctl.runs.under_way:  # it is this terminal's
            found = runs(entries, now_s=now_s, running=frozenset({found[0].run}))
        self.fleet.set_rows(found)
        self.redraw()

    def chip(self) -> str:
        """How many, or that it is being read for the first time."""
        return "reading the journal" if self._read_at is None and not self.trouble else super().chip()

    def notice_text(self) -> str:
        """Why it could not be read anew, and how old is what is shown."""
        age = f"; what is shown is {duration(self.pdctl.wall() - self._read_at)} old" if self._read_at else ""
        return f"not read: {self.trouble}{age}"

    def _notice_strip(self, look: Palette, width: int) -> Strip:
        line = (Span(f" ▲ {clipped(self.notice_text(), width - 4)}", Ink.WARN),) if self.trouble else ()
        return inked_strip(line, look, ink_styles(look), width)

    def on_fleet_table_chosen(self, message: FleetTable.Chosen) -> None:
        run = self.fleet.current
        if run is not None:
            self.app.push_screen(RunScreen(run))


class RunScreen(ViewScreen):
    """One run of the journal, step by step."""

    VIEW = "run"

    def __init__(self, run: RunRecord) -> None:
        super().__init__()
        self.record = run

    def body(self) -> ComposeResult:
        yield Canvas(lambda: self.look, id="lines")

    def on_mount(self) -> None:
        self.query_one(Canvas).focus()
        self.draw()

    def on_resize(self, event: Any) -> None:
        self.draw()

    def draw(self) -> None:
        """Show the run."""
        canvas = self.query_one(Canvas)
        canvas.set_lines(run_lines(self.record, max(20, canvas.size.width - 1)))

    def command(self) -> str:
        return f"pdctl events --run {self.record.run}"

    def action_level_up(self) -> None:
        self.dismiss()
