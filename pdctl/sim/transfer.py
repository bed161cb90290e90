"""Messages between simulated engines: length-prefixed msgpack over TCP, on the ports where vLLM has its own.

A real engine speaks ZMQ here; only our engines talk to ours, so the framing is free, but the manners are kept: a bare
connection is harmless, and one malformed message ends the listener, as it kills vLLM's listener thread
(vLLM 0.33 moriio_engine.py).
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Any, TypeAlias

import msgpack

Message: TypeAlias = dict[str, Any]
Address: TypeAlias = tuple[str, int]
Handler: TypeAlias = Callable[[Message], Message | None]

_LENGTH = struct.Struct(">I")
_LONGEST = 16 * 1024 * 1024
_RETRY_S = 0.1


class TransferError(Exception):
    """A peer could not be reached, answered with a refusal, or hung up."""


def encode(message: Message) -> bytes:
    """One frame."""
    body: bytes = msgpack.packb(message)
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Cuts a byte stream into messages. `feed` raises ValueError on anything that is no frame of ours."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        self._buffer += data
        messages = []
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > _LONGEST:
                raise ValueError("frame too long")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                break
            message = msgpack.unpackb(bytes(self._buffer[_LENGTH.size : end]))
            if not isinstance(message, dict) or "type" not in message:
                raise ValueError("not a message")
            messages.append(message)
            del self._buffer[:end]
        return messages


class _Inbound(asyncio.Protocol):
    """One accepted connection."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._listener.connections.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._listener.connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._reader.feed(data):
                reply = self._listener.handler(message)
                if reply is not None and self._transport is not None:
                    self._transport.write(encode(reply))
        except (ValueError, KeyError, TypeError, msgpack.UnpackException) as error:
            self._listener.break_down(error)


class Listener:
    """A listening port whose messages go to `handler`; what that returns is sent back.

    vLLM binds all addresses (`tcp://*`). Simulated machines share a kernel, so each keeps to its own address, `host`.
    """

    def __init__(self, host: str, port: int, handler: Handler, on_breakdown: Callable[[int, Exception], None]) -> None:
        self.host = host
        self.port = port
        self.handler = handler
        self.connections: set[asyncio.Transport] = set()
        self._on_breakdown = on_breakdown
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Bind. Raises OSError when the port is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Inbound(self), host=self.host, port=self.port, backlog=512)

    def break_down(self, error: Exception) -> None:
        """A malformed message: the port closes for good."""
        self._on_breakdown(self.port, error)
        self.close()

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for transport in tuple(self.connections):
            transport.close()


def _bind_address(advertised: str) -> str:
    """vLLM binds `tcp://*`. Simulated nodes share one kernel and have a loopback address each, so those bind theirs."""
    return advertised if advertised.startswith("127.") else "0.0.0.0"


class _Outbound(asyncio.Protocol):
    """One connection to a peer; forgets itself when the peer hangs up."""

    def __init__(self, on_lost: Callable[[], None]) -> None:
        self._on_lost = on_lost
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._on_lost()


class Links:
    """One-way messages to peers, over one connection per peer address that is kept.

    As with a ZMQ DEALER, a message to a peer that is not there is tried again, here for `patience_s`; then it is lost.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._links: dict[Address, _Outbound] = {}
        self._opening: dict[Address, asyncio.Lock] = {}
        self._sending: set[asyncio.Task[None]] = set()

    def send(self, address: Address, message: Message) -> None:
        link = self._links.get(address)
        if link is not None and link.transport is not None:
            link.transport.write(encode(message))
            return
        task = asyncio.get_running_loop().create_task(self._send_later(address, encode(message)))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send_later(self, address: Address, frame: bytes) -> None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._patience_s
        lock = self._opening.setdefault(address, asyncio.Lock())
        async with lock:
            while True:
                link = self._links.get(address)
                if link is not None and link.transport is not None:
                    link.transport.write(frame)
                    return
                try:
                    _, opened = await loop.create_connection(lambda: _Outbound(lambda: self._lost(address)), *address)
                    self._links[address] = opened
                except OSError:
                    if loop.time() >= until_s:
                        return
                    await asyncio.sleep(_RETRY_S)

    def _lost(self, address: Address) -> None:
        self._links.pop(address, None)

    async def close(self) -> None:
        for task in tuple(self._sending):
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        for link in tuple(self._links.values()):
            if link.transport is not None:
                link.transport.close()


async def ask(address: Address, message: Message) -> Message:
    """One question, one answer, on a connection of its own. Raises TransferError; the caller sets the deadline."""
    try:
        reader, writer = await asyncio.open_connection(*address)
    except OSError as error:
        raise TransferError(f"{address[0]}:{address[1]}: {error.strerror or error}") from error
    try:
        writer.write(encode(message))
        frames = FrameReader()
        while True:
            data = await reader.read(65536)
            if not data:
                raise TransferError(f"{address[0]}:{address[1]} hung up")
            answers = frames.feed(data)
            if answers:
                return answers[0]
    except (OSError, ValueError) as error:
        raise TransferError(f"{address[0]}:{address[1]}: {error}") from error
    finally:
        writer.close()
