"""The truth about every request, a JSON line each: what tests compare measurements with. Times are Unix seconds."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import TextIO

from pdctl.sim.engine_core import Observer
from pdctl.sim.sim_request import SimRequest


class RequestLog:
    """Observer that writes a line when a request ends."""

    def __init__(self, stream: TextIO, *, clock_offset_s: float) -> None:
        """`clock_offset_s` turns the engine's clock into Unix time."""
        self._stream = stream
        self._offset_s = clock_offset_s

    def step(self, rank: int, prompt_tokens: int, generated: int) -> None:
        return

    def token(self, request: SimRequest, gap_s: float | None) -> None:
        return

    def ended(self, request: SimRequest) -> None:
        gaps = request.produced - 1
        first, last = request.first_token_s, request.last_token_s
        mean_s = (last - first) / gaps if gaps > 0 and first is not None and last is not None else None
        line = {
            "request_id": request.raw_id,
            "leg": request.leg.value,
            "transfer_id": request.transfer_id or None,
            "rank": request.rank,
            "outcome": request.outcome,
            "prompt_tokens": request.prompt_tokens,
            "output_tokens": request.produced,
            "arrival": self._unix(request.arrival_s),
            "scheduled": self._unix(request.scheduled_s),
            "first_token": self._unix(first),
            "last_token": self._unix(last),
            "finished": self._unix(request.finished_s),
            "itl_mean_s": mean_s,
            "itl_max_s": request.longest_gap_s if gaps > 0 else None,
        }
        self._stream.write(json.dumps(line) + "\n")
        self._stream.flush()

    def _unix(self, at_s: float | None) -> float | None:
        return None if at_s is None else round(at_s + self._offset_s, 6)


class Observers:
    """Several observers as one."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)

    def step(self, rank: int, prompt_tokens: int, generated: int) -> None:
        for observer in self._observers:
            observer.step(rank, prompt_tokens, generated)

    def token(self, request: SimRequest, gap_s: float | None) -> None:
        for observer in self._observers:
            observer.token(request, gap_s)

    def ended(self, request: SimRequest) -> None:
        for observer in self._observers:
            observer.ended(request)


def unix_offset_s(clock_s: float) -> float:
    """What to add to the engine's clock, now at `clock_s`, for Unix time."""
    return time.time() - clock_s
