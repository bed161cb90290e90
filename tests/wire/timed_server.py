"""A server whose every token has its time: `python -m tests.wire.timed_server` prints its port and serves until stdin
ends.

A request is answered by the script of its prompt's length (`script`), so a test knows the truth without asking.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass

import orjson

_BACKLOG = 1024
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds from a request's arrival to its first token, and between tokens."""

    ttft_s: float
    gap_s: float


def script(isl: int) -> Timing:
    """Different for each prompt length up to 500: 200 to 300 ms to the first token, then one every 40 to 60 ms."""
    return Timing(0.2 + 0.0002 * (isl * 7 % 500), 0.04 + 0.00004 * (isl * 3 % 500))


class _Answers(asyncio.Protocol):
    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._got = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        arrived_s = self._loop.time()
        self._got += data
        head, found, body = self._got.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
        if not found or len(body) < int(length):
            return
        self._got = b""
        asked = orjson.loads(body)
        isl, osl = len(asked["prompt"]), asked["max_tokens"]
        timing = script(isl)
        self._write(_HEAD)
        usage = {"prompt_tokens": isl, "completion_tokens": osl}
        last = _event({"id": "t", "choices": [], "usage": usage}) + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
        self._at(arrived_s + timing.ttft_s, timing.gap_s, osl, last)

    def _at(self, due_s: float, gap_s: float, left: int, last: bytes) -> None:
        """The next of `left` tokens; by the clock of the first, so that being late once delays nothing else."""
        self._loop.call_at(due_s, self._token, due_s, gap_s, left, last)

    def _token(self, due_s: float, gap_s: float, left: int, last: bytes) -> None:
        self._write(_TOKEN if left > 1 else _LAST_TOKEN + last)
        if left > 1 and self._transport is not None:
            self._at(due_s + gap_s, gap_s, left - 1, last)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


def _event(data: dict[str, object]) -> bytes:
    return _chunk(b"data: " + orjson.dumps(data) + b"\n\n")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


_TOKEN = _event({"id": "t", "choices": [{"text": " a", "finish_reason": None}]})
_LAST_TOKEN = _event({"id": "t", "choices": [{"text": " a", "finish_reason": "length"}]})


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Answers, "127.0.0.1", 0, backlog=_BACKLOG)
    over = asyncio.Event()
    loop.add_reader(sys.stdin, over.set)
    print(server.sockets[0].getsockname()[1], flush=True)
    await over.wait()


if __name__ == "__main__":
    asyncio.run(_serve())
