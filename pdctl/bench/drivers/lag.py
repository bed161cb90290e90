"""How late the load client itself is: a client that lags would add its own delay to what it measures."""

from __future__ import annotations

import asyncio
from array import array
from types import TracebackType

from pdctl.bench.figures.spread import quantile

_TICK_S = 0.005


class LagMeter:
    """While entered, asks every 5 ms how long after it was due the event loop came round. The selector's millisecond
    is part of it."""

    def __init__(self) -> None:
        self._late_s = array("d")
        self._timer: asyncio.TimerHandle | None = None

    def p99_s(self) -> float | None:
        """None: too short to say."""
        return quantile(sorted(self._late_s), 0.99) if self._late_s else None

    def __enter__(self) -> LagMeter:
        self._next(asyncio.get_running_loop())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_at(due_s := loop.time() + _TICK_S, self._tick, loop, due_s)

    def _tick(self, loop: asyncio.AbstractEventLoop, due_s: float) -> None:
        self._late_s.append(loop.time() - due_s)
        self._next(loop)
