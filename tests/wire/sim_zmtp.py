"""Registers members with a router, as an engine's MoRI-IO heartbeat does: ZMTP 3 DEALER, one msgpack map a message."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgpack

_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
_READY = b"\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
BEAT_S = 0.5


@dataclass(slots=True)
class Heartbeats:
    """`async with Heartbeats(port, members):` registers the members twice a second until the block ends."""

    port: int
    members: Sequence[dict[str, Any]]
    _task: asyncio.Task[None] | None = field(default=None)

    async def __aenter__(self) -> Heartbeats:
        self._task = asyncio.create_task(self._beat())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _beat(self) -> None:
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._speak()
            await asyncio.sleep(0.1)

    async def _speak(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(_GREETING + struct.pack(">BB", 4, len(_READY)) + _READY)
            await reader.readexactly(64)
            while True:
                for member in self.members:
                    body = msgpack.packb(member)
                    writer.write(struct.pack(">BQ", 2, len(body)) + body)
                await writer.drain()
                await asyncio.sleep(BEAT_S)
        finally:
            writer.close()
