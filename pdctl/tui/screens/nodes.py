"""The fleet as a table: nodes, slots or instances."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Static

from pdctl.model.snapshot import Snapshot
from pdctl.tui.screens.base import ViewScreen


class NodesScreen(ViewScreen):
    """One row a node."""

    VIEW = "nodes"

    def body(self) -> ComposeResult:
        yield Static("", id="text")

    def show(self, snapshot: Snapshot) -> None:
        self.query_one("#text", Static).update("\n".join(snapshot.nodes))
