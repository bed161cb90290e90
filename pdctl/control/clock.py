"""Time as an effect: the loop never reads the wall clock or sleeps by itself."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Protocol


def utc(at: object, fmt: str = "%Y-%m-%d %H:%M UTC") -> str:
    """A Unix time in words, of a record that may be damaged: `unknown time` where it holds none."""
    if isinstance(at, int | float) and not isinstance(at, bool) and math.isfinite(at):
        with suppress(OverflowError, ValueError, OSError):
            return datetime.fromtimestamp(at, UTC).strftime(fmt)
    return "unknown time"


class Clock(Protocol):
    """Monotonic seconds for every wait, Unix time for stamps only."""

    def monotonic(self) -> float: ...

    def time(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        return time.monotonic()

    def time(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
