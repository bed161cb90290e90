"""Waiting without sleeping for luck, and ports without collisions: for every test that talks to processes."""

from __future__ import annotations

import asyncio
import inspect
import socket
import time
from collections.abc import Awaitable, Callable


async def wait_until(
    predicate: Callable[[], object | Awaitable[object]], deadline_s: float, *, what: str = "", poll_s: float = 0.02
) -> None:
    """Poll `predicate`, plain or async, until what it returns is true. Fails the test after `deadline_s` seconds."""
    give_up_s = time.monotonic() + deadline_s
    while True:
        answer = predicate()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return
        if time.monotonic() >= give_up_s:
            raise AssertionError(f"not within {deadline_s:g} s: {what or predicate}; it still says {answer!r}")
        await asyncio.sleep(poll_s)


def free_port(address: str = "127.0.0.1") -> int:
    """A TCP port of `address` that nobody listens on now; someone else may take it before you do."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port
