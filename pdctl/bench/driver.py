"""Who sends the load: the Protocol that the built-in client, `vllm bench serve`, GuideLLM and AIPerf stand behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pdctl.bench.point import Point, Target
from pdctl.bench.row import Row

REFUSED_PAUSE_S = 0.1
"""In a closed loop the place of a refused request stays taken for so long: a server that is down is not hammered."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of a point. `took_s` spans from the start to the end of the last request. `stopped`: told to, before
    all was sent. `stall`: what stood still, in one line, so that the driver ended the point and cut what was in flight.
    `raw` is an external tool's own output, kept beside the rows. `lag_p99_s`: how late the client itself was (None: not
    known)."""

    rows: Sequence[Row]
    took_s: float
    stopped: bool = False
    stall: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict)
    lag_p99_s: float | None = None


class Driver(Protocol):
    """Runs one point to its end. Failures of requests are rows, not raised.

    Raises BenchError where the tool itself cannot run (not installed, crashed, gave no result).
    """

    @property
    def name(self) -> str: ...

    async def run(
        self,
        point: Point,
        target: Target,
        *,
        on_row: Callable[[Row], None],
        stop: Callable[[], bool],
    ) -> Measured:
        """`on_row` is called as each request ends (an external tool: all at its end). Once `stop` says True nothing
        more is sent, and what is in flight ends whole."""
        ...
