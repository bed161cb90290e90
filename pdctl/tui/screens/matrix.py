"""KV matrix: the hand-off of every prefill x decode pair, by canaries, and all of the pair under the cursor."""

from __future__ import annotations

from typing import ClassVar

from textual import events, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from pdctl.errors import PdctlError
from pdctl.model.snapshot import Snapshot
from pdctl.tui.matrix_lines import Cursor, matrix_lines
from pdctl.tui.matrix_view import MatrixView, Round, details, generations, matrix
from pdctl.tui.screens.base import ViewScreen
from pdctl.tui.widgets.canvas import Canvas


class MatrixCanvas(Canvas, can_focus=True, inherit_bindings=False):
    """Keys move the cursor over pairs and scroll nothing: what is shown is the part around the cursor."""


class MatrixScreen(ViewScreen):
    """The cursor starts on the pair that needs most attention, and stays on its pair."""

    VIEW = "matrix"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "point(-1, 0)", "Up", show=False),
        Binding("down,j", "point(1, 0)", "Down", show=False),
        Binding("left", "point(0, -1)", "Left", show=False),
        Binding("right", "point(0, 1)", "Right", show=False),
        Binding("pageup", "point(-8, 0)", "Page up", show=False),
        Binding("pagedown", "point(8, 0)", "Page down", show=False),
        Binding("home,g", "point(-9999, -9999)", "First", show=False),
        Binding("end,G", "point(9999, 9999)", "Last", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.canvas = MatrixCanvas(lambda: self.look, id="matrix")
        self.cursor = Cursor()
        self.asked: Round | None = None
        self._status = ""

    def body(self) -> ComposeResult:
        yield self.canvas

    def show(self, snapshot: Snapshot) -> None:
        view = matrix(snapshot, self.asked)
        self._draw(view, snapshot)

    def _draw(self, view: MatrixView, snapshot: Snapshot) -> None:
        width, height = self.canvas.size
        if not width or not height:
            return
        here = self.cursor.within(view)
        known = details(view, here.prefill, here.decode, generations(snapshot))
        self.canvas.set_lines(matrix_lines(view, here, known, width, height, self._status))

    def action_open_logs(self) -> None:
        """The logs of both ends: they tell why a pair fails."""
        if self.seen is not None:
            here = self.cursor.within(matrix(self.seen, self.asked))
            self.pdctl.follow_logs([name for name in (here.prefill, here.decode) if name])

    def action_point(self, down: int, right: int) -> None:
        """Move the cursor by so many rows and columns."""
        if self.seen is not None:
            view = matrix(self.seen, self.asked)
            self.cursor = self.cursor.moved(view, down, right)
            self._draw(view, self.seen)

    def action_canary(self) -> None:
        """Send a round of canaries; what they find is shown as it comes back."""
        if not self._status.startswith("sending"):
            self.send_canaries()

    @work(exclusive=True, group="canary", exit_on_error=False, description="a round of canaries")
    async def send_canaries(self) -> None:
        """In the background: a pair that hangs costs half a minute, and no key press waits for it."""
        self._say("sending canaries …")
        launches = generations(self.seen) if self.seen is not None else {}
        try:
            pairs = await self.pdctl.operations.canary(1)
        except PdctlError as error:
            self._say("")
            self.notify(f"{error.message}. {error.hint}".rstrip(". "), title="canary", severity="warning")
            return
        self.asked = Round(pairs, self.pdctl.wall(), launches)
        self._say("round done" if pairs else "no pair of members")

    def _say(self, status: str) -> None:
        self._status = status
        if self.seen is not None:
            self.show(self.seen)

    def on_resize(self, event: events.Resize) -> None:
        if self.seen is not None:
            self.call_after_refresh(self.show, self.seen)
