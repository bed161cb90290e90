"""When each request is sent: at its time, or as soon after it as the limit on those in flight allows.

No answer moves a time that is to come: a slow server meets the load that was asked for, not a kinder one (coordinated
omission).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from pdctl.perf.workload import Asked, Workload

_LOOK_S = 0.1
Halt = Callable[[], bool]


async def offer(
    workload: Workload,
    send: Callable[[int, Asked], Awaitable[None]],
    *,
    begun_s: float,
    clock: Callable[[], float],
    halt: Halt,
) -> bool:
    """Run `send(position, asked)` for each request of `workload` in a task of its own, and wait for all of them.

    Under a limit, what waits is sent in order as places come free. Once `halt` says True nothing more is sent. Returns
    whether all was sent. What `send` raises ends the load, as an ExceptionGroup.
    """
    places = _Places(workload.concurrency)

    async def take(position: int, asked: Asked) -> None:
        try:
            await send(position, asked)
        finally:
            places.leave()

    async with asyncio.TaskGroup() as tasks:
        for position, asked in enumerate(workload.asked):
            if not (await _until(begun_s + asked.at_s, clock, halt) and await places.enter(halt)):
                return False
            tasks.create_task(take(position, asked))
            await asyncio.sleep(0)  # what has arrived meanwhile is stamped before the next one is made
    return True


async def _until(due_s: float, clock: Callable[[], float], halt: Halt) -> bool:
    """Whether the time came, rather than a halt."""
    while not halt():
        left_s = due_s - clock()
        if left_s <= 0:
            return True
        await asyncio.sleep(min(left_s, _LOOK_S))
    return False


class _Places:
    """As many as may be in flight at once; None: any number."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._taken = 0
        self._freed = asyncio.Event()

    async def enter(self, halt: Halt) -> bool:
        """Whether a place was free, rather than a halt."""
        while self._limit is not None and self._taken >= self._limit:
            self._freed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._freed.wait()
            if halt():
                return False
        self._taken += 1
        return True

    def leave(self) -> None:
        self._taken -= 1
        self._freed.set()
