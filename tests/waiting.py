"""Waiting without sleeping for luck, and ports without collisions: for every test that talks to processes."""

from __future__ import annotations

import asyncio
import inspect
import os
import socket
import time
from collections.abc import Awaitable, Callable

PATIENCE = 5.0 if "PYTEST_XDIST_WORKER" in os.environ else 1.0
"""How much longer everything may take while other tests compete for the same cores; a test alone gets no more than
it should need. It costs nothing where the awaited event comes."""


def patient(seconds: float) -> float:
    """The upper bound on a duration that should stay below `seconds` on an idle machine."""
    return seconds * PATIENCE


async def wait_until(
    predicate: Callable[[], object | Awaitable[object]],
    deadline_s: float,
    *,
    what: str = "",
    poll_s: float = 0.02,
    strict: bool = False,
) -> None:
    """Poll `predicate`, plain or async, until what it returns is true.

    Fails the test after `patient(deadline_s)`; `strict`, where the deadline is what is asserted, after `deadline_s`.
    """
    allowed_s = deadline_s if strict else patient(deadline_s)
    give_up_s = time.monotonic() + allowed_s
    while True:
        answer = predicate()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return
        if time.monotonic() >= give_up_s:
            raise AssertionError(f"not within {allowed_s:g} s: {what or predicate}; it still says {answer!r}")
        await asyncio.sleep(poll_s)


def free_port(address: str = "127.0.0.1") -> int:
    """A TCP port of `address` that nobody listens on now; someone else may take it before you do."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port
