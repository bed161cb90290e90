"""A bare HTTP client for simulated engines: sees every byte when it comes, and can hang up where a test wants it to."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.waiting import wait_until


@dataclass(slots=True)
class Answer:
    """One HTTP answer. `events` are the data of server-sent events with their arrival on the monotonic clock."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    events: list[tuple[float, str]] = field(default_factory=list)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def chunks(self) -> list[dict[str, Any]]:
        """The JSON of every event but [DONE]."""
        return [json.loads(data) for _, data in self.events if data != "[DONE]"]

    @property
    def done(self) -> bool:
        return bool(self.events) and self.events[-1][1] == "[DONE]"

    @property
    def text(self) -> str:
        """What was generated, streamed or not, completion or chat."""
        choices = [choice for chunk in (self.chunks or [self.json]) for choice in chunk.get("choices", [])]
        return "".join(
            choice.get("text") or (choice.get("delta") or choice.get("message") or {}).get("content") or ""
            for choice in choices
        )

    @property
    def finish(self) -> str | None:
        reasons = [c["finish_reason"] for chunk in (self.chunks or [self.json]) for c in chunk.get("choices", [])]
        return next((reason for reason in reasons if reason), None)


async def call(
    port: int,
    method: str,
    path: str,
    body: Mapping[str, Any] | bytes | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    hang_up_after: int | None = None,
    timeout_s: float = 30.0,
) -> Answer:
    """One request on a connection of its own; with `hang_up_after` N the connection is closed after N events."""
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(_request(method, path, body, headers or {}))
            if hang_up_after == 0:
                await writer.drain()
                return Answer()
            return await _read(reader, hang_up_after)
        finally:
            writer.close()


async def complete(port: int, prompt: str | list[int] = "hello world", tokens: int = 8, **more: Any) -> Answer:
    """A completion of exactly `tokens` tokens. What `call` knows goes to it, the rest of `more` into the body."""
    options = {name: more.pop(name) for name in ("headers", "hang_up_after", "timeout_s") if name in more}
    body = {"model": "tiny", "prompt": prompt, "max_tokens": tokens, "ignore_eos": True, **more}
    return await call(port, "POST", "/v1/completions", body, **options)


async def metrics(port: int) -> dict[str, float]:
    """Every sample of /metrics; the key is the line's name with its labels, without the model's."""
    text = (await call(port, "GET", "/metrics")).body.decode()
    samples = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            samples[re.sub(r',?model_name="[^"]*"', "", name)] = float(value)
    return samples


def _request(method: str, path: str, body: Mapping[str, Any] | bytes | None, headers: Mapping[str, str]) -> bytes:
    content = body if isinstance(body, bytes) else (b"" if body is None else json.dumps(body).encode())
    lines = [f"{method} {path} HTTP/1.1", "host: engine", "connection: close", f"content-length: {len(content)}"]
    if not any(name.lower() == "content-type" for name in headers):
        lines.append("content-type: application/json")
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


async def _read(reader: asyncio.StreamReader, hang_up_after: int | None) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    answer = Answer(int(head[0].split()[1]))
    answer.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    if answer.headers.get("transfer-encoding") != "chunked":
        answer.body = await reader.readexactly(int(answer.headers.get("content-length", "0")))
        return answer
    pending = b""
    while size := int(await reader.readline(), 16):
        pending += (await reader.readexactly(size + 2))[:-2]
        *whole, pending = pending.split(b"\n\n")
        now = time.monotonic()
        answer.events += [(now, event.removeprefix(b"data: ").decode()) for event in whole]
        if hang_up_after is not None and len(answer.events) >= hang_up_after:
            break
    return answer


async def more_tokens(port: int, count: int) -> None:
    """Wait until the engine has generated `count` tokens more than now."""
    family = 'vllm:generation_tokens_total{engine="0"}'
    before = (await metrics(port))[family]

    async def generated() -> bool:
        return (await metrics(port))[family] >= before + count

    await wait_until(generated, 10, what=f"{count} more tokens")
