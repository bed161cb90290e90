"""A chart as a widget, for screens that are made of widgets: it paints only lines that changed."""

from __future__ import annotations

from collections.abc import Callable

from textual import events

from pdctl.tui.history import History
from pdctl.tui.palette import Palette
from pdctl.tui.plots import Plot, Room, plot_lines
from pdctl.tui.widgets.canvas import Canvas


class BrailleChart(Canvas, can_focus=False):
    """Draws `plot` from `history`; call `again` after every tick. ASCII where the palette says so."""

    DEFAULT_CSS = "BrailleChart { height: 6; width: 1fr; padding: 0; scrollbar-size: 0 0; }"

    def __init__(
        self, plot: Plot, history: Callable[[], History], look: Callable[[], Palette], *, id: str | None = None
    ):
        super().__init__(look, id=id)
        self.plot = plot
        self._history, self._palette = history, look

    def again(self) -> None:
        """The history may have grown."""
        width, height = self.size
        if width > 2 and height > 1:
            room = Room(width, height, self._palette().ascii_only)
            self.set_lines(plot_lines(self.plot, self._history(), room))

    def on_resize(self, event: events.Resize) -> None:
        self.again()
