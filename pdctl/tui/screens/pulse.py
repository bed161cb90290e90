"""Pulse, the home view: what clients get, both lanes, the link between them, and what holds the cluster back."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult

from pdctl.model.snapshot import Snapshot, Source
from pdctl.tui.pulse_lines import pulse_lines
from pdctl.tui.pulse_view import pulse
from pdctl.tui.screens.base import ViewScreen
from pdctl.tui.widgets.canvas import Canvas


class PulseScreen(ViewScreen):
    """A picture of the last snapshot, with the series of the last quarter of an hour."""

    VIEW = "pulse"

    def __init__(self) -> None:
        super().__init__()
        self.canvas = Canvas(lambda: self.look, id="pulse")

    def body(self) -> ComposeResult:
        yield self.canvas

    def show(self, snapshot: Snapshot) -> None:
        app = self.pdctl
        view = pulse(snapshot, app.history, app.window_s, self._lag_s(snapshot))
        width, height = self.canvas.size
        if width and height:
            self.canvas.set_lines(pulse_lines(view, app.history, width, height, ascii_only=self.look.ascii_only))

    def take(self, snapshot: Snapshot | None) -> None:
        """Where nothing new came, its figures grow old all the same."""
        super().take(snapshot)
        if snapshot is None and self.seen is not None:
            self.show(self.seen)

    def on_resize(self, event: events.Resize) -> None:
        if self.seen is not None:
            self.call_after_refresh(self.show, self.seen)

    def _lag_s(self, snapshot: Snapshot) -> float:
        """How late a live snapshot is; what is frozen, or recorded, is as old as the heading says."""
        if snapshot.source is Source.RECORDING or snapshot is not self.pdctl.latest:
            return 0.0
        return max(0.0, self.pdctl.wall() - snapshot.taken_s)
