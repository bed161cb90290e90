"""All keys of the screen that is under it, made from the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from pdctl.tui.help_lines import help_lines
from pdctl.tui.widgets.canvas import Canvas

if TYPE_CHECKING:
    from pdctl.tui.app import PdctlApp


class HelpScreen(ModalScreen[None]):
    """The keys of the screen `scope`, what they do, and the commands that do the same."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,f1", "dismiss", "Close", show=False),
        Binding("down,j", "roll(1)", "Down", show=False),
        Binding("up,k", "roll(-1)", "Up", show=False),
        Binding("pagedown,space", "roll(15)", "Page down", show=False),
        Binding("pageup", "roll(-15)", "Page up", show=False),
    ]
    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen > Vertical { width: 90%; max-width: 110; height: 90%; border: round $primary; padding: 0 1;
                            background: $background; }
    """

    def __init__(self, scope: str) -> None:
        super().__init__()
        self.scope = scope
        app = cast("PdctlApp", self.app)
        self.canvas = Canvas(lambda: app.look)

    def compose(self) -> ComposeResult:
        with Vertical() as frame:
            frame.border_title = "Keys"
            frame.border_subtitle = "esc closes, arrows scroll"
            yield self.canvas

    def on_mount(self) -> None:
        self.call_after_refresh(self._draw)

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self._draw)

    def action_roll(self, step: int) -> None:
        self.canvas.scroll_relative(y=step, animate=False)

    def _draw(self) -> None:
        app = cast("PdctlApp", self.app)
        columns = self.canvas.size.width - 1
        self.canvas.set_lines(help_lines(self.scope, app.settings, app.operations.read_only, columns))
