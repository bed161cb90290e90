"""The event stream as NDJSON: one object a line, flushed at once, so that a reader sees each event when it happens."""

from __future__ import annotations

import json
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from pdctl.model.events import Event, as_json

if TYPE_CHECKING:
    from pdctl.control.clock import Clock


class JsonRenderer:
    """A `cli.render.Renderer`. Lines are ASCII, so remote text in them cannot drive a terminal."""

    def __init__(self, stream: TextIO, clock: Clock, *, run: str, cluster: str) -> None:
        self._stream = stream
        self._clock = clock
        self._run = run
        self._cluster = cluster

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def __call__(self, event: Event) -> None:
        line = as_json(event, ts=self._clock.time(), run=self._run, cluster=self._cluster)
        self._stream.write(json.dumps(line, separators=(",", ":"), default=str) + "\n")
        self._stream.flush()
