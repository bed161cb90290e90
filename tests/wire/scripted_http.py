"""A tiny HTTP server whose answers are scripts: each test says, byte by byte, what the client gets to see."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

Script: TypeAlias = Callable[[asyncio.StreamWriter, Mapping[str, Any]], Awaitable[None]]
"""Writes one whole answer, status line included, to a request with the given JSON body; then the connection closes."""


@asynccontextmanager
async def scripted_server(script: Script) -> AsyncIterator[str]:
    """The URL of a server on a free loopback port that answers every POST by `script`."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            sizes = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            body = await reader.readexactly(int(sizes[0].split(b":")[1]))
            await script(writer, json.loads(body))
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went; what it made of that is for the test to say
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def head(status: int = 200, kind: str = "text/event-stream", length: int | None = None) -> bytes:
    """Status line and headers. Without a length the body ends in order with the chunk that `end()` makes."""
    framing = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    return f"HTTP/1.1 {status} Scripted\r\ncontent-type: {kind}\r\nconnection: close\r\n{framing}\r\n\r\n".encode()


def whole(status: int, body: str, kind: str = "application/json") -> bytes:
    """A complete buffered answer."""
    return head(status, kind, len(body.encode())) + body.encode()


def event(data: str | Mapping[str, Any]) -> bytes:
    """One server-sent event as one HTTP chunk."""
    text = data if isinstance(data, str) else json.dumps(data)
    frame = f"data: {text}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(frame), frame)


def end() -> bytes:
    """The orderly end of a chunked body."""
    return b"0\r\n\r\n"


def token(text: str = " a", finish: str | None = None) -> bytes:
    """One completions event with one token."""
    return event({"choices": [{"index": 0, "text": text, "finish_reason": finish}]})
