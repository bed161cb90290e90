"""The views of a run: NDJSON, a line of text for each event, or progress that changes in place."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import TracebackType
from typing import Self, TextIO

from pdctl.bench.runs.events import BenchEnded, PointDone, Progress
from pdctl.cli.bench.run_lines import closing, lines, progress
from pdctl.cli.global_options import Globals
from pdctl.cli.render import Renderer
from pdctl.control.clock import Clock
from pdctl.model.events import Event

PROGRESS_EVERY_S = 10.0
"""Where every text is a new line, progress is told that often."""
_COLUMNS = 80  # of a terminal that does not say
_NO_CURSOR = frozenset({"", "dumb", "unknown"})


def bench_view(
    options: Globals, stream: TextIO, clock: Clock, *, cluster: str, environ: Mapping[str, str] = os.environ
) -> Renderer:
    """The view that the options and the terminal ask for."""
    if options.json:
        from pdctl.cli.render_json import JsonRenderer

        return JsonRenderer(stream, clock, run=options.run, cluster=cluster)
    moves = stream.isatty() and environ.get("TERM", "") not in _NO_CURSOR
    return BenchText(stream, clock, in_place=moves)


class BenchText:
    """A `cli.render.Renderer`. `in_place`: progress is one line that is written over; nothing but a carriage return
    and an erased line, for a screen that is repainted takes time from the clocks of the requests."""

    def __init__(self, stream: TextIO, clock: Clock, *, in_place: bool) -> None:
        self._stream = stream
        self._clock = clock
        self._in_place = in_place
        self._said_s = float("-inf")
        self._done: list[PointDone] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over("")

    def __call__(self, event: Event) -> None:
        if isinstance(event, Progress):
            self._progress(event)
            return
        if isinstance(event, PointDone):
            self._done.append(event)
        if isinstance(event, BenchEnded):
            found = closing(self._done, event, _columns(self._stream) if self._in_place else None)
        else:
            found = lines(event)
        self._over("".join(f"{line}\n" for line in found))

    def _progress(self, event: Progress) -> None:
        now_s = self._clock.monotonic()
        if self._in_place:
            width = _columns(self._stream)
            self._over(progress(event)[: max(1, width - 1)])
        elif now_s - self._said_s >= PROGRESS_EVERY_S:
            self._said_s = now_s
            self._over(progress(event) + "\n")

    def _over(self, text: str) -> None:
        """Write `text` over the line of progress, if there is one."""
        self._stream.write(f"\r\x1b[K{text}" if self._in_place else text)
        self._stream.flush()


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or _COLUMNS
    except OSError:
        return _COLUMNS
