"""Answers as servers were seen to give them, each with the outcome that a client must make of it."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Mapping
from typing import Any

from pdctl.model.outcome import Outcome
from tests.wire.scripted_http import Script, end, event, head, token, whole

USAGE = event({"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 3}})
DONE = event("[DONE]")


def says(*parts: bytes) -> Script:
    async def script(writer: asyncio.StreamWriter, _: Mapping[str, Any]) -> None:
        writer.write(b"".join(parts))

    return script


def resets(*parts: bytes) -> Script:
    """Like `says`, but the connection ends with a reset instead of an orderly close."""

    async def script(writer: asyncio.StreamWriter, _: Mapping[str, Any]) -> None:
        writer.write(b"".join(parts))
        await writer.drain()
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return script


ENGINE_DIED = event({"error": {"message": "EngineCore encountered an issue.", "code": 500}})

STREAMS: list[tuple[str, Script, Outcome, str]] = [
    ("whole", says(head(), token(), token(), token(finish="length"), USAGE, DONE, end()), Outcome.OK, ""),
    ("lost after DONE", resets(head(), token(), token(finish="stop"), USAGE, DONE), Outcome.OK, ""),
    ("abort behind DONE", says(head(), token(), token("", "abort"), USAGE, DONE, end()), Outcome.ABORTED, "abort"),
    ("error in stream", says(head(), token(), ENGINE_DIED, DONE, end()), Outcome.ERROR, "EngineCore"),
    ("garbage in stream", says(head(), token(), event("oops"), DONE, end()), Outcome.ERROR, "oops"),
    ("ended early", says(head(), token(), end()), Outcome.CUT, "[DONE]"),
    ("DONE without finish", says(head(), token(), DONE, end()), Outcome.CUT, "finish_reason"),
    ("finish without DONE", says(head(), token(finish="length"), end()), Outcome.CUT, "[DONE]"),
    ("empty stream", says(head(), end()), Outcome.CUT, "[DONE]"),
    ("closed in a chunk", says(head(), token()), Outcome.CUT, "connection lost"),
    ("reset in mid-stream", resets(head(), token()), Outcome.CUT, "connection lost"),
    ("closed without an answer", says(), Outcome.CUT, "connection lost"),
    ("500", says(whole(500, "Decode request failed", "text/plain")), Outcome.ERROR, "HTTP 500: Decode request failed"),
    ("404", says(whole(404, '{"error":{"message":"no such model"}}')), Outcome.ERROR, "HTTP 404: no such model"),
    ("429", says(whole(429, '{"error":"queue full"}')), Outcome.REFUSED, "HTTP 429: queue full"),
    ("503", says(whole(503, "No eligible P/D pair", "text/plain")), Outcome.REFUSED, "HTTP 503: No eligible P/D pair"),
]
