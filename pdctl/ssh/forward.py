"""A port of this machine that leads to an address as a node sees it: for clients that speak TCP and no SSH."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pdctl.errors import NodeError
from pdctl.ssh.ports import ByteReader, ByteWriter, Shell

_CHUNK = 1 << 16


@asynccontextmanager
async def forwarded(shell: Shell, host: str, port: int) -> AsyncIterator[int]:
    """The local port, on 127.0.0.1, while the context lasts. Connections to it are made from the node to (host, port);
    one that the node cannot make is closed at once, as a refused one would be.

    Raises NodeError, OSError where the first one cannot be made, so that a wrong address is told before a load begins.
    """
    _, probe = await shell.connect(host, port)
    probe.close()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            try:
                far_reader, far_writer = await shell.connect(host, port)
            except (NodeError, OSError):
                return
            with contextlib.closing(far_writer):
                await _both(
                    asyncio.create_task(_pump(reader, far_writer)), asyncio.create_task(_pump(far_reader, writer))
                )

    server = await asyncio.start_server(carry, "127.0.0.1", 0)
    async with server:
        yield int(server.sockets[0].getsockname()[1])


async def _both(*ways: asyncio.Task[None]) -> None:
    """Until both ways have ended in order, or one has not: then both are closed, and the client sees it."""
    try:
        with contextlib.suppress(Exception):  # asyncssh's errors have no common base with OSError
            await asyncio.gather(*ways)
    finally:
        for way in ways:
            way.cancel()


async def _pump(reader: ByteReader, writer: ByteWriter) -> None:
    """One way, until its end."""
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()
