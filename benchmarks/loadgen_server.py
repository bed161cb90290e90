"""The server of loadgen.py: sends SSE events as vLLM words them, as fast as they are taken or at a pace.

    python benchmarks/loadgen_server.py CORE

prints its port and serves until stdin ends. The `model` of a request says how its `max_tokens` events come: "fast", one
write an event and all streams in turn; "even:0.02", one each 20 ms, streams spread over it; "step:0.02", the same with
all streams at one moment, as after an engine's step. GET /stamps tells when each event of each answer was written, by
the machine's monotonic clock, and forgets it.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time

EVENT = (
    b'data: {"id":"%b","object":"text_completion","created":1764000000,"model":"tiny","choices":[{"index":0,"text":'
    b'" hello","logprobs":null,"finish_reason":%b,"stop_reason":null,"token_ids":null,"prompt_logprobs":null,'
    b'"prompt_token_ids":null}],"usage":null}\n\n'
)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"


class Streams:
    """What is being sent, and when it was."""

    def __init__(self) -> None:
        self.fast: list[Answers] = []
        self.turn: asyncio.Task[None] | None = None
        self.stamps: dict[str, list[float]] = {}
        self.count = 0

    async def take_turns(self) -> None:
        while self.fast:
            for answers in list(self.fast):
                if answers.closed:
                    self.fast.remove(answers)
                elif not answers.full:
                    answers.next()
                    if not answers.left:
                        self.fast.remove(answers)
            await asyncio.sleep(0)
        self.turn = None


class Answers(asyncio.Protocol):
    """One connection."""

    def __init__(self, streams: Streams) -> None:
        self.streams = streams
        self.got = b""
        self.full = self.closed = False
        self.left = 0
        self.name = ""
        self.stamps: list[float] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False

    def data_received(self, data: bytes) -> None:
        self.got += data
        head, found, body = self.got.partition(b"\r\n\r\n")
        if not found:
            return
        length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
        if head.startswith(b"GET "):
            self.got = b""
            self.transport.write(whole(self.streams.stamps if b"/stamps" in head else MODELS))
            self.streams.stamps = {} if b"/stamps" in head else self.streams.stamps
        elif len(body) >= int(length or 0):
            self.got = b""
            self.begin(json.loads(body))

    def begin(self, asked: dict[str, object]) -> None:
        self.streams.count += 1
        self.name = f"cmpl-{self.streams.count:032x}"
        self.token = chunk(EVENT % (self.name.encode(), b"null"))
        self.last = chunk(EVENT % (self.name.encode(), b'"length"'))
        self.count = self.left = int(str(asked.get("max_tokens") or asked.get("max_completion_tokens") or 16))
        kind, _, interval = str(asked["model"]).partition(":")
        self.transport.write(HEAD)
        if kind not in ("even", "step"):
            self.streams.fast.append(self)
            if self.streams.turn is None:
                self.streams.turn = asyncio.get_running_loop().create_task(self.streams.take_turns())
            return
        self.stamps = self.streams.stamps[self.name] = []
        interval_s = float(interval)
        loop = asyncio.get_running_loop()
        begin_s = loop.time() + random.random() * interval_s + 0.2
        if kind == "step":
            begin_s = (loop.time() // interval_s + 2 + 0.2 // interval_s) * interval_s
        loop.call_at(begin_s, self.pace, begin_s, interval_s)

    def pace(self, due_s: float, interval_s: float) -> None:
        if self.closed:
            return
        self.next()
        if self.left:
            asyncio.get_running_loop().call_at(due_s + interval_s, self.pace, due_s + interval_s, interval_s)

    def next(self) -> None:
        self.left -= 1
        if self.stamps is not None:
            self.stamps.append(time.monotonic())
        self.transport.write(self.token if self.left else self.last)
        if not self.left:
            usage = {"id": self.name, "choices": [], "usage": {"prompt_tokens": 8, "completion_tokens": self.count}}
            self.transport.write(
                chunk(b"data: " + json.dumps(usage).encode() + b"\n\n") + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
            )


MODELS = {"object": "list", "data": [{"id": "fast", "object": "model"}]}


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def whole(answer: object) -> bytes:
    body = json.dumps(answer).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


async def serve() -> None:
    streams = Streams()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Answers(streams), "127.0.0.1", 0, backlog=4096)
    over = asyncio.Event()
    loop.add_reader(sys.stdin, over.set)
    print(server.sockets[0].getsockname()[1], flush=True)
    await over.wait()


if __name__ == "__main__":
    os.sched_setaffinity(0, {int(sys.argv[1])})
    asyncio.run(serve())
