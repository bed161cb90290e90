"""The event stream on a terminal: one row per subject that changes in place, and above it what must not scroll away.

The only module of the event views that imports rich's console; `cli.render` loads it when a terminal is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from pdctl.cli.board import Board, RowState, advance
from pdctl.cli.board_lines import board_lines
from pdctl.model.events import (
    CheckEnded,
    CheckFailed,
    Event,
    LeaseTaken,
    NodeUnreachable,
    Planned,
    RunEnded,
    RunStarted,
    StepFailed,
    Warned,
)
from pdctl.model.playbook_events import PlaybookEnded, PlaybookEvent, PlaybookStepBegan
from pdctl.text.phrases import phrase

if TYPE_CHECKING:
    from pdctl.control.clock import Clock

REFRESH_HZ = 4.0

_STYLES = {
    RowState.WAITING: "dim",
    RowState.RUNNING: "",
    RowState.DONE: "green",
    RowState.SKIPPED: "dim",
    RowState.FAILED: "red",
    RowState.UNKNOWN: "yellow",
}


class LiveRenderer:
    """A `cli.render.Renderer`. Failures, warnings and the end are printed above the rows and stay in the scrollback.

    Rich repaints from a thread of its own; it only ever reads the board, which is replaced as a whole.
    """

    def __init__(
        self, stream: TextIO, clock: Clock, *, verbose: bool, cluster: str, environ: Mapping[str, str]
    ) -> None:
        self._clock = clock
        self._verbose = verbose
        self._cluster = cluster
        self._board = Board()
        self._ended: RunEnded | None = None
        self._plan_is_asked = False
        self._whole = False
        self._console = Console(
            file=stream, force_terminal=True, highlight=False, markup=False, emoji=False, _environ=environ
        )
        self._live = Live(self, console=self._console, refresh_per_second=REFRESH_HZ, redirect_stdout=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._whole = True
        self._live.stop()
        if self._ended is not None:
            self._print(self._ended)

    def __call__(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._plan_is_asked = event.command == "plan"
            case PlaybookEvent():
                self._between(event)
                return
            case RunEnded():
                self._ended = event
            case StepFailed() | NodeUnreachable() | Warned() | CheckFailed() | CheckEnded():
                self._print(event)
            case Planned() if self._plan_is_asked:
                self._print(event)
                return  # a plan's steps are the answer, not rows that would wait for ever
            case LeaseTaken() if self._verbose:
                self._print(event)
        self._board = advance(self._board, event, self._clock.monotonic())

    def _between(self, event: PlaybookEvent) -> None:
        """A playbook says something: rows are of one step of it only."""
        if self._ended is not None:
            self._print(self._ended)
            self._ended = None
        if isinstance(event, PlaybookStepBegan | PlaybookEnded):
            self._board = Board()
        self._print(event)

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """The terminal is somebody else's while the context lasts, to ask the operator something."""
        self._live.stop()
        try:
            yield
        finally:
            self._board = Board()
            self._live.start()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        board = self._board
        if not board.rows:
            return
        lines = board_lines(
            board,
            cluster=self._cluster,
            now_s=self._clock.monotonic(),
            width=options.max_width,
            height=None if self._whole else console.height,
        )
        for line in lines:
            text = Text(line.text, style="dim" if line.state is None else "", no_wrap=True)
            if line.state is not None:
                text.stylize(_STYLES[line.state], line.mark, line.mark + len(line.state))
            yield text

    def _print(self, event: Event) -> None:
        for line in phrase(event, verbose=self._verbose):
            self._console.print(Text(line), soft_wrap=True)
