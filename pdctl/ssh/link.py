"""One held connection: dialled at first use, shared by all who ask meanwhile, dialled again after a loss."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import time
from collections.abc import Awaitable, Callable

import asyncssh

from pdctl.errors import AuthRefused, ConnectionLost, Unreachable

_FIRST_BACKOFF_S = 0.5
_MAX_BACKOFF_S = 10.0


class Link:
    """Holds a connection that `dial` makes.

    After a failed dial the failure is repeated without dialling until a backoff (0.5 s doubling to 10 s, with jitter)
    has passed, so that a screen that refreshes every second does not hammer a dead host. A refused login is repeated
    for good: another attempt could lock the account. A connection that was up and got lost is dialled again at once.
    """

    def __init__(
        self,
        dial: Callable[[], Awaitable[asyncssh.SSHClientConnection]],
        *,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        self._dial = dial
        self._clock = clock
        self._rng = rng or random.Random()
        self._connection: asyncssh.SSHClientConnection | None = None
        self._dialling: asyncio.Task[asyncssh.SSHClientConnection] | None = None
        self._failure: Unreachable | None = None
        self._failures = 0
        self._not_before = -math.inf

    async def connection(self) -> asyncssh.SSHClientConnection:
        """The live connection. Raises what `dial` raises; cancelling one caller does not stop the others' dial."""
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        if self._dialling is None:
            if self._failure is not None and self._clock() < self._not_before:
                raise _again(self._failure)
            self._dialling = asyncio.create_task(self._establish())
            self._dialling.add_done_callback(_seen)
        try:
            return await asyncio.shield(self._dialling)
        except Unreachable as exc:
            raise _again(exc) from None

    async def close(self) -> None:
        """Close the connection, or give up the dial under way."""
        if self._dialling is not None:
            self._dialling.cancel()
            with contextlib.suppress(asyncio.CancelledError, Unreachable, ConnectionLost):
                await self._dialling
        if self._connection is not None:
            self._connection.close()
            # A peer that answers nothing any more must not hold us up.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._connection.wait_closed(), 1.0)
            self._connection.abort()
            self._connection = None

    async def _establish(self) -> asyncssh.SSHClientConnection:
        try:
            self._connection = await self._dial()
        except Unreachable as exc:
            self._failure = exc
            self._failures += 1
            backoff_s = min(_MAX_BACKOFF_S, _FIRST_BACKOFF_S * 2 ** min(self._failures - 1, 10))
            refused = isinstance(exc, AuthRefused)
            self._not_before = math.inf if refused else self._clock() + backoff_s * self._rng.uniform(0.5, 1.0)
            raise
        else:
            self._failure, self._failures = None, 0
            return self._connection
        finally:
            self._dialling = None


def _again(exc: Unreachable) -> Unreachable:
    """The same error as a new exception: one instance raised to many would gather all their tracebacks."""
    return type(exc)(exc.node, exc.cause, hint=exc.hint)


def _seen(task: asyncio.Task[asyncssh.SSHClientConnection]) -> None:
    """Fetch the result, or a dial that all its callers gave up would be reported as an error nobody saw."""
    if not task.cancelled():
        task.exception()
