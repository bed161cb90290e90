"""An event loop whose clock jumps to the next timer as soon as nothing is left to run: hours in milliseconds."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

LIMIT_S = 4 * 3600.0
"""A scenario that waits longer than this by its own clock hangs."""


class _Selector(selectors.SelectSelector):
    """Waits for nobody: there is no I/O, so the time until the next timer just passes."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self._limit_s = LIMIT_S

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("deadlock: every task waits for another one")
        self.now_s += max(timeout, 0.0)
        if self.now_s > self._limit_s:
            self._limit_s += LIMIT_S  # for the loop's own clean-up
            raise AssertionError(f"still waiting after {LIMIT_S:.0f} s of virtual time")
        return []


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now_s


class VirtualClock:
    """`control.clock.Clock` by the loop's own time."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def time(self) -> float:
        return 1_800_000_000.0 + self.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def run(scenario: Coroutine[Any, Any, T]) -> T:
    """Run `scenario` to its end in virtual time. Fails on a deadlock, and on a wait of hours."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(scenario)
