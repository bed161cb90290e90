"""The receiving side of a router's discovery: a ZMTP 3 ROUTER socket in this event loop that keeps what it hears."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from dataclasses import dataclass, field
from typing import Any

import msgpack

_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
_READY = b"\x05READY\x0bSocket-Type\x00\x00\x00\x06ROUTER\x08Identity\x00\x00\x00\x00"


@dataclass(slots=True)
class FakeDiscovery:
    """`async with FakeDiscovery() as discovery:` listens on a free loopback port until the block ends."""

    heard: list[tuple[float, dict[str, Any]]] = field(default_factory=list)  # time.monotonic(), registration
    greetings: list[bytes] = field(default_factory=list)
    address: str = ""
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> FakeDiscovery:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def members_since(self, begun: float) -> set[str]:
        """HTTP addresses that were registered after `begun` (monotonic)."""
        return {message["http_address"] for at, message in self.heard if at > begun}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            self.greetings.append(await reader.readexactly(64))
            writer.write(_GREETING + struct.pack(">BB", 4, len(_READY)) + _READY)
            command, body = await _frame(reader)
            assert command and body.startswith(b"\x05READY") and b"DEALER" in body
            while True:
                command, body = await _frame(reader)
                assert not command
                self.heard.append((time.monotonic(), msgpack.unpackb(body)))
        writer.close()


async def _frame(reader: asyncio.StreamReader) -> tuple[bool, bytes]:
    """(is it a command, body) of one frame."""
    flags = (await reader.readexactly(1))[0]
    length = struct.unpack(">Q", await reader.readexactly(8))[0] if flags & 2 else (await reader.readexactly(1))[0]
    return bool(flags & 4), await reader.readexactly(length)
