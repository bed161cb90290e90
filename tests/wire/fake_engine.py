"""A tiny fake engine in this event loop: just enough of vLLM for a router and for the registrar's gate.

It answers both legs of a request (a prefill leg carries `do_remote_decode`), `/health` and `/metrics`. Tests steer it
through plain attributes and read what it was asked from `requests`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Seen:
    """One request as the engine saw it. `finished` is False if the client went away in mid-answer."""

    at: float  # time.monotonic()
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    finished: bool = False

    @property
    def leg(self) -> str:
        params = self.body.get("kv_transfer_params") or {}
        return "P" if params.get("do_remote_decode") else "D"


@dataclass(slots=True)
class FakeEngine:
    """`async with FakeEngine() as engine:` serves on a free loopback port until the block ends."""

    health: int = 200  # the status of /health; 0 hangs without an answer
    running: int = 0
    waiting: int = 0
    iterations: int = 0
    metrics_text: str | None = None  # overrides the whole of /metrics
    tokens: int = 3  # events of a streamed answer
    gap_s: float = 0.0  # between two of them
    prefill_s: float = 0.0
    requests: list[Seen] = field(default_factory=list)
    polls: list[float] = field(default_factory=list)  # times of /health
    address: str = ""
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def __aenter__(self) -> FakeEngine:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Listen: on a free port the first time, on the same port after a `close`."""
        port = int(self.address.rpartition(":")[2] or 0)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        """Stop listening and cut every connection: from here on, connections are refused."""
        if self._server is not None:
            self._server.close()
            for writer in list(self._writers):
                writer.transport.abort()
            await self._server.wait_closed()
            self._server = None

    @property
    def completions(self) -> list[Seen]:
        return [seen for seen in self.requests if seen.path.startswith("/v1/")]

    def asked_since(self, begun: float) -> list[Seen]:
        """Completions that came after `begun` (monotonic)."""
        return [seen for seen in self.completions if seen.at > begun]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await self._answer(reader, writer):
                pass
        self._writers.discard(writer)
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; True if the connection lives on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        path, _, version = head[0].partition(" ")[2].rpartition(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
        if path == "/health":
            self.polls.append(time.monotonic())
            if self.health == 0:
                await asyncio.sleep(3600)
            self._reply(writer, self.health, b"")
        elif path == "/metrics":
            self._reply(writer, 200, (self.metrics_text or self._metrics()).encode(), "text/plain; version=0.0.4")
        elif path.startswith("/v1/") and raw:
            await self._complete(Seen(time.monotonic(), path, headers, json.loads(raw)), writer)
        elif path == "/v1/models":
            self._reply(writer, 200, b'{"object":"list","data":[{"id":"fake","object":"model"}]}')
        else:
            self._reply(writer, 404, b"{}")
        await writer.drain()
        return version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"

    async def _complete(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        self.requests.append(seen)
        self.running += 1
        try:
            params = seen.body.get("kv_transfer_params") or {}
            if seen.leg == "P" and params:
                await asyncio.sleep(self.prefill_s)
                self._reply(writer, 200, json.dumps(self._answer_body(seen)).encode())
            elif seen.body.get("stream"):
                await self._stream(writer)
            else:
                self._reply(writer, 200, json.dumps(self._answer_body(seen)).encode())
            await writer.drain()
            seen.finished = True
        finally:
            self.running -= 1
            self.iterations += 1

    async def _stream(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        events = [{"choices": [{"index": 0, "text": f"t{i} ", "finish_reason": None}]} for i in range(self.tokens)]
        for data in [*(json.dumps(event) for event in events), "[DONE]"]:
            chunk = f"data: {data}\n\n".encode()
            writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            await writer.drain()
            self.iterations += 1
            await asyncio.sleep(self.gap_s)
        writer.write(b"0\r\n\r\n")

    def _answer_body(self, seen: Seen) -> dict[str, Any]:
        params = seen.body.get("kv_transfer_params") or {}
        return {
            "id": "cmpl-fake",
            "object": "text_completion",
            "model": "fake",
            "choices": [{"index": 0, "text": "t", "finish_reason": "length"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
            "kv_transfer_params": {
                "do_remote_prefill": True,
                "do_remote_decode": False,
                "transfer_id": params.get("transfer_id"),
                "remote_block_ids": [[1, 2, 3]],
                "remote_engine_id": self.address,
                "remote_host": "127.0.0.1",
            },
        }

    def _metrics(self) -> str:
        labels = '{engine="0",model_name="fake"}'
        return (
            f"vllm:num_requests_running{labels} {self.running}.0\n"
            f"vllm:num_requests_waiting{labels} {self.waiting}.0\n"
            f"vllm:iteration_tokens_total_count{labels} {self.iterations}.0\n"
            f"vllm:generation_tokens_total{labels} {self.iterations}.0\n"
        )

    @staticmethod
    def _reply(writer: asyncio.StreamWriter, status: int, body: bytes, kind: str = "application/json") -> None:
        head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
