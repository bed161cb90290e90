"""The event stream as plain text: one event a line, for logs, pipes and terminals without a cursor."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from pdctl.model.events import Event, Planned, RunStarted, StepProgress
from pdctl.text.duration import duration
from pdctl.text.phrases import phrase

if TYPE_CHECKING:
    from pdctl.control.clock import Clock

PROGRESS_EVERY_S = 10.0
"""A step's new progress texts are shown at most that often, unless verbose."""

_STAMP_WIDTH = 6  # of "59m59s"


class TextRenderer:
    """A `cli.render.Renderer`. Every line starts with the time since the run began."""

    def __init__(self, stream: TextIO, clock: Clock, *, verbose: bool) -> None:
        self._stream = stream
        self._clock = clock
        self._verbose = verbose
        self._began_s: float | None = None
        self._plan_is_asked = False
        self._progress: dict[str, tuple[str, float]] = {}  # step -> its text when last shown, and when that was

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def __call__(self, event: Event) -> None:
        now_s = self._clock.monotonic()
        if self._began_s is None:
            self._began_s = now_s
        if isinstance(event, RunStarted):
            self._plan_is_asked = event.command == "plan"
        if not self._shows(event, now_s):
            return
        stamp = f"{duration(now_s - self._began_s):>{_STAMP_WIDTH}}"
        for line in phrase(event, verbose=self._verbose):
            self._stream.write(f"{stamp}  {line}".rstrip() + "\n")
            stamp = " " * _STAMP_WIDTH
        self._stream.flush()

    def _shows(self, event: Event, now_s: float) -> bool:
        if self._verbose:
            return True
        if isinstance(event, Planned):
            return self._plan_is_asked  # elsewhere every planned step is told again when it begins
        if isinstance(event, StepProgress):
            return self._is_news(event, now_s)
        return True

    def _is_news(self, event: StepProgress, now_s: float) -> bool:
        text, at_s = self._progress.get(event.step, ("", float("-inf")))
        if event.text == text or now_s - at_s < PROGRESS_EVERY_S:
            return False
        self._progress[event.step] = (event.text, now_s)
        return True
