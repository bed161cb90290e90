"""The load client: sends requests over kept connections, and tells of each how it went."""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from pdctl.bench.answer import Verdict
from pdctl.bench.drivers.connection import Connection
from pdctl.bench.drivers.endpoint import Address
from pdctl.bench.drivers.reply import Reply
from pdctl.errors import BenchError
from pdctl.model.outcome import Outcome

_IDLE_S = 2.0
"""An idle connection is used again only while it is younger than any server's keep-alive (uvicorn: 5 s)."""
_UNUSED_S = 30.0
"""One that was opened ahead and has carried nothing yet."""
_OPENED_AT_ONCE = 32
_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM})
"""Files, ports and memory of this machine: not the server's refusal."""
_RACE_S = 0.1
"""A kept connection that goes within this of a request, without a byte, was being closed as the request was sent."""
_RACING = 2
CONNECT_S = 10.0


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and what came of it, by the client's clock. `attempts` is 2 where a kept connection was being closed
    by the server as the request was sent, so that it was sent again at once."""

    sent_s: float
    ended_s: float
    reply: Reply
    verdict: Verdict
    attempts: int = 1


class StreamClient:
    """Connections to one server. `heard_s` is when anything came last, from any request."""

    def __init__(
        self,
        addresses: Sequence[Address],
        *,
        clock: Callable[[], float],
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
        connect_s: float = CONNECT_S,
    ) -> None:
        self._addresses = tuple(addresses)
        self._clock = clock
        self._tls = tls
        self._server_name = server_name if tls is not None else None
        self._connect_s = connect_s
        self._idle: list[tuple[Connection, float]] = []  # each with when it is too old
        self._busy: set[Connection] = set()
        self._given_up = ""
        self.heard_s = clock()

    async def open(self, connections: int) -> None:
        """Connect ahead, so that a load that begins with many requests at once does not begin with handshakes. What
        cannot be opened is left to the requests to tell."""
        places = asyncio.Semaphore(_OPENED_AT_ONCE)

        async def one() -> None:
            async with places:
                with suppress(OSError, TimeoutError):
                    self._idle.append((await self._connect(), self._clock() + _UNUSED_S))

        await asyncio.gather(*(one() for _ in range(connections)))

    async def ask(self, request: bytes, *, deadline_s: float) -> Exchange:
        """Send `request` (head and body) and read the answer to its end. Raises nothing that a server can cause;
        BenchError where this machine has no more sockets.

        REFUSED needs proof that the request was not taken in: no connection, or the server's word. A connection that
        goes, or a deadline that passes, is CUT.
        """
        sent_s = self._clock()
        give_up_s = asyncio.get_running_loop().time() + deadline_s
        for attempt in range(1, _RACING + 1):
            reply = Reply()
            try:
                connection, kept = await self._connection(fresh=attempt > 1)
            except (OSError, TimeoutError) as error:
                verdict = Verdict(Outcome.REFUSED, f"no connection: {str(error) or type(error).__name__}")
                return Exchange(sent_s, self._clock(), reply, verdict, attempt)
            tried_s = self._clock()
            lost = await self._exchange(connection, request, reply, give_up_s, deadline_s)
            ended_s = self._clock()
            raced = kept and lost and reply.first_byte_s is None and ended_s - tried_s < _RACE_S
            if not raced or self._given_up:
                break
        return Exchange(sent_s, ended_s, reply, reply.judge(lost), attempt)

    def give_up(self, why: str) -> None:
        """Cut everything in flight, and what would still be sent."""
        self._given_up = why
        for connection in tuple(self._busy):
            connection.lose(why)

    def close(self) -> None:
        self.give_up("the client ended")
        for connection, _ in self._idle:
            connection.lose("")
        self._idle.clear()

    async def _exchange(
        self, connection: Connection, request: bytes, reply: Reply, give_up_s: float, deadline_s: float
    ) -> str:
        if self._given_up:
            connection.lose("")
            return self._given_up
        self._busy.add(connection)
        timer = asyncio.get_running_loop().call_at(
            give_up_s, connection.lose, f"no whole answer within {deadline_s:g} s"
        )
        try:
            lost = await connection.send(request, reply)
        except asyncio.CancelledError:
            connection.lose("")
            raise
        finally:
            timer.cancel()
            self._busy.discard(connection)
        if connection.usable:
            self._idle.append((connection, self._clock() + _IDLE_S))
        return lost

    async def _connection(self, *, fresh: bool) -> tuple[Connection, bool]:
        """A connection, and whether it has carried a request before. Raises OSError, TimeoutError."""
        while self._idle and not fresh:
            connection, until_s = self._idle.pop()
            if connection.usable and self._clock() < until_s:
                return connection, connection.used
            connection.lose("")
        return await self._connect(), False

    async def _connect(self) -> Connection:
        trouble: OSError = ConnectionError("the server has no address")
        for address in self._addresses:
            try:
                async with asyncio.timeout(self._connect_s):
                    _, made = await asyncio.get_running_loop().create_connection(
                        lambda: Connection(self._clock, self._heard),
                        address.ip,
                        address.port,
                        family=address.family,
                        ssl=self._tls,
                        server_hostname=self._server_name,
                    )
            except TimeoutError:
                trouble = TimeoutError(f"not connected within {self._connect_s:g} s")
            except OSError as error:
                if error.errno in _OURS:
                    raise BenchError(
                        f"this machine has no more for the load: {error.strerror}",
                        hint="fewer requests at once, or a higher `ulimit -n`",
                    ) from error
                trouble = error
            else:
                self._addresses = (address, *(other for other in self._addresses if other is not address))
                return made
        raise trouble

    def _heard(self, now_s: float) -> None:
        self.heard_s = now_s
