"""One HTTP/1.1 connection of the load client: a request out, its answer parsed and stamped as the bytes come in.

Everything happens in `data_received`: no stream reader, no task switch per event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus

import httptools

from pdctl.bench.drivers.reply import Reply

_WITHOUT_BODY = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
_AFTER_DONE_S = 5.0
"""For the body to end after [DONE]. To hang up at once would look like a client that lost interest."""


class Connection(asyncio.Protocol):
    """Carries one exchange at a time. `on_bytes` is told of every arrival: the sign of life that a stall lacks. `used`:
    it has carried one."""

    def __init__(self, clock: Callable[[], float], on_bytes: Callable[[float], None]) -> None:
        self._clock = clock
        self._on_bytes = on_bytes
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._reply: Reply | None = None
        self._ended: asyncio.Future[str] | None = None
        self._now_s = 0.0
        self.used = False
        self._forget_head()
        self._keep_alive = False
        self._complete = False

    def _forget_head(self) -> None:
        self._content_type = self._location = ""
        self._framed = False  # the head says where the body ends

    @property
    def usable(self) -> bool:
        """It may carry another exchange: the last one ended in order and neither side has closed."""
        return self._transport is not None and not self._transport.is_closing() and self._ended is None

    def send(self, request: bytes, reply: Reply) -> asyncio.Future[str]:
        """Write `request` and fill `reply`. The future says how the connection was lost ("": the answer is whole)."""
        assert self._transport is not None
        assert self._ended is None, "one exchange at a time"
        self._forget_head()
        self._keep_alive = self._complete = False
        self._reply = reply
        self._parser = httptools.HttpResponseParser(self)
        self._ended = asyncio.get_running_loop().create_future()
        self.used = True
        self._transport.write(request)
        return self._ended

    def lose(self, why: str) -> None:
        """Give up what is in flight, and close."""
        self._end(why)
        if self._transport is not None:
            self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._parser is None or self._reply is None:
            self.lose("")  # unasked: what follows could be taken for the next answer
            return
        now_s = self._now_s = self._clock()
        if self._reply.first_byte_s is None:
            self._reply.first_byte_s = now_s
        self._on_bytes(now_s)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if isinstance(error, httptools.HttpParserCallbackError):
                raise  # ours
            if not self._complete:
                self.lose(f"no HTTP/1.1 answer: {error}")
                return
            self._keep_alive = False
        if self._complete:
            keep = self._keep_alive
            self._end("")
            if not keep and self._transport is not None:
                self._transport.close()
        elif self._reply is not None and self._reply.answer.done:
            asyncio.get_running_loop().call_later(_AFTER_DONE_S, self._enough, self._reply)

    def connection_lost(self, exc: Exception | None) -> None:
        begun = self._reply is not None and self._reply.status != 0
        if exc is None and begun and not self._framed:
            self._end("")  # a body without a length ends with its connection
        else:
            self._end(f"connection lost: {exc or 'closed by the server'}")
        self._transport = None

    # What the parser calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        match name.lower():
            case b"content-length" | b"transfer-encoding":
                self._framed = True
            case b"content-type":
                self._content_type = value.split(b";")[0].strip().lower().decode("latin-1")
            case b"location":
                self._location = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self._complete or self._parser is None or self._reply is None:
            return
        status = self._parser.get_status_code()
        if status < HTTPStatus.OK:
            return
        self._framed = self._framed or status in _WITHOUT_BODY
        self._keep_alive = self._parser.should_keep_alive()
        self._reply.head(status, content_type=self._content_type, location=self._location)

    def on_body(self, body: bytes) -> None:
        if not self._complete and self._reply is not None:
            self._reply.body(body, self._now_s)

    def on_message_complete(self) -> None:
        if self._reply is not None and self._reply.status:
            self._complete = True
        else:
            self._forget_head()  # that was a "100 Continue"

    def _enough(self, reply: Reply) -> None:
        if self._reply is reply:
            self.lose("")

    def _end(self, lost: str) -> None:
        ended, self._ended = self._ended, None
        self._parser = None  # it holds this connection
        self._reply = None
        if ended is not None and not ended.done():
            ended.set_result(lost)
