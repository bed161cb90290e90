"""One node in full, on top of the view that it was opened from."""

from __future__ import annotations

from dataclasses import replace

from textual import events
from textual.app import ComposeResult

from pdctl.errors import PdctlError
from pdctl.model.snapshot import Snapshot
from pdctl.tui.node_lines import Asked, Sheet, node_lines
from pdctl.tui.plots import Room
from pdctl.tui.screens.base import ViewScreen
from pdctl.tui.widgets.canvas import Canvas


class NodeScreen(ViewScreen):
    """What a snapshot knows of `node`; its units are asked for when it is opened, its health when the operator asks."""

    VIEW = "node"

    def __init__(self, node: str) -> None:
        super().__init__()
        self.node = node
        self.asked = Asked()
        self.canvas = Canvas(lambda: self.look, id="node")

    def body(self) -> ComposeResult:
        yield self.canvas

    def on_mount(self) -> None:
        super().on_mount()
        self.canvas.focus()
        self.run_worker(self._ask_units(), group="units", exclusive=True, exit_on_error=False)

    def show(self, snapshot: Snapshot) -> None:
        width, height = self.canvas.size
        if width and height:
            sheet = Sheet(snapshot, self.node, self.pdctl.history, self.asked)
            self.canvas.set_lines(node_lines(sheet, Room(width - 1, height, self.look.ascii_only)))

    def on_resize(self, event: events.Resize) -> None:
        super().on_resize(event)
        self.call_after_refresh(self.show_again)

    def subject(self) -> str:
        return self.node

    def chip(self) -> str:
        return self.node

    async def _ask_units(self) -> None:
        try:
            seen = await self.pdctl.operations.status()
        except PdctlError as error:
            self.asked = replace(self.asked, units_trouble=error.message)
        else:
            units = (*seen.instances, *seen.services)
            self.asked = replace(self.asked, units=tuple(unit for unit in units if unit.node == self.node))
        self.show_again()

    async def _ask_health(self) -> None:
        try:
            report = await self.pdctl.operations.health()
        except PdctlError as error:
            self.asked = replace(self.asked, findings_note=error.message)
        else:
            self.asked = replace(self.asked, findings=report.of_node(self.node), findings_note="")
        self.show_again()

    def action_check_node(self) -> None:
        """Check the nodes, and show what is found on this one."""
        self.asked = replace(self.asked, findings_note="checking")
        self.show_again()
        self.run_worker(self._ask_health(), group="health", exclusive=True, exit_on_error=False)

    def action_level_up(self) -> None:
        self.dismiss()

    def action_move(self) -> None:
        self.pdctl.begin_change("move", self.selectors())

    def action_drain(self) -> None:
        self.pdctl.begin_change("drain", self.selectors())

    def action_undrain(self) -> None:
        self.pdctl.begin_change("undrain", self.selectors())

    def action_restart(self) -> None:
        self.pdctl.begin_change("restart", self.selectors())

    def action_open_logs(self) -> None:
        snapshot = self.seen
        names = [item.name for item in snapshot.instances.values() if item.node == self.node] if snapshot else []
        if names:
            self.dismiss()
            self.pdctl.follow_logs(names)
