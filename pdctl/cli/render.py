"""Which view of the event stream a command shows: NDJSON, plain lines, or live progress on a terminal."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TextIO

if TYPE_CHECKING:
    from pdctl.control.clock import Clock
    from pdctl.model.events import Event

_NO_CURSOR = frozenset({"", "dumb", "unknown"})  # values of TERM that promise no cursor movement


class Renderer(Protocol):
    """Shows events as they come. What it owns of the terminal is given back when its context ends."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def __call__(self, event: Event) -> None: ...


def renderer(
    *,
    json: bool,
    stream: TextIO,
    terminal: bool,
    verbose: bool,
    clock: Clock,
    run: str,
    cluster: str,
    environ: Mapping[str, str] = os.environ,
) -> Renderer:
    """The view for one run. `terminal` says that `stream` is one; TERM and NO_COLOR of `environ` are honoured.

    `run` and `cluster` stamp the lines of `--json`. `verbose` adds plan lines, every progress text and the details of
    finished steps.
    """
    if json:
        from pdctl.cli.render_json import JsonRenderer

        return JsonRenderer(stream, clock, run=run, cluster=cluster)
    if terminal and environ.get("TERM", "") not in _NO_CURSOR:
        from pdctl.cli.render_live import LiveRenderer

        return LiveRenderer(stream, clock, verbose=verbose, cluster=cluster, environ=environ)
    from pdctl.cli.render_text import TextRenderer

    return TextRenderer(stream, clock, verbose=verbose)
