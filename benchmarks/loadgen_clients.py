"""The clients of loadgen.py, each run in a process of its own:

    python benchmarks/loadgen_clients.py NAME URL MODEL STREAMS EVENTS CORE

prints as JSON: events, wall and CPU seconds of the streams, and per answer the times at which its events were read.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Times = Mapping[str, list[float]]
"""Id of an answer -> when each of its events was read, by the machine's monotonic clock."""


async def builtin(url: str, model: str, streams: int, events: int) -> Times:
    """The client of `pdctl bench`, as its driver uses it."""
    from pdctl.bench.drivers.endpoint import endpoint_of, resolve
    from pdctl.bench.drivers.question import Questions
    from pdctl.bench.drivers.stream_client import StreamClient
    from pdctl.bench.point import Target
    from pdctl.perf.workload import Asked

    endpoint = endpoint_of(url)
    questions = Questions(Target(url, model), endpoint, salt="loadgen", longest=8)
    client = StreamClient(await resolve(endpoint), clock=time.monotonic)
    requests = [questions.request(n, Asked(0.0, 8, events)) for n in range(streams)]
    exchanges = await asyncio.gather(*(client.ask(request, deadline_s=600.0) for request in requests))
    client.close()
    assert all(not exchange.verdict.outcome.failed for exchange in exchanges), exchanges[0].verdict
    return {one.reply.answer.request_id: list(one.reply.answer.token_times_s) for one in exchanges}


async def aiohttp(url: str, model: str, streams: int, events: int) -> Times:
    """As `vllm bench serve` does it (vLLM 0.32): one session, `iter_any`, text split at blank lines, json."""
    import aiohttp

    times: dict[str, list[float]] = {}

    async def ask(session: aiohttp.ClientSession) -> None:
        body = {
            "model": model,
            "prompt": "hello",
            "temperature": 0.0,
            "max_tokens": events,
            "logprobs": None,
            "stream": True,
            "stream_options": {"include_usage": True},
            "ignore_eos": True,
        }
        text, mine = "", list[float]()
        async with session.post(f"{url}/v1/completions", json=body) as response:
            async for read in response.content.iter_any():
                text += read.decode()
                while "\n\n" in text:
                    message, _, text = text.partition("\n\n")
                    data = message.strip().removeprefix("data: ")
                    if data == "[DONE]":
                        continue
                    answer: dict[str, Any] = json.loads(data)
                    if answer.get("choices"):
                        mine.append(time.monotonic())
                    times[answer["id"]] = mine

    connector = aiohttp.TCPConnector(limit=streams, limit_per_host=streams, keepalive_timeout=60)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=600)) as session:
        await asyncio.gather(*(ask(session) for _ in range(streams)))
    return times


async def httpx(url: str, model: str, streams: int, events: int) -> Times:
    """The small client of pdctl's demo and playbooks, for comparison."""
    import httpx

    times: dict[str, list[float]] = {}

    async def ask(client: httpx.AsyncClient) -> None:
        body = {"model": model, "prompt": [1], "max_tokens": events, "stream": True}
        mine = list[float]()
        async with client.stream("POST", f"{url}/v1/completions", json=body) as response:
            async for line in response.aiter_lines():
                if line.startswith("data: {"):
                    answer = json.loads(line[6:])
                    if answer["choices"]:
                        mine.append(time.monotonic())
                    times[answer["id"]] = mine

    limits = httpx.Limits(max_connections=streams)
    async with httpx.AsyncClient(limits=limits, timeout=600.0, trust_env=False) as client:
        await asyncio.gather(*(ask(client) for _ in range(streams)))
    return times


CLIENTS: Mapping[str, Callable[[str, str, int, int], Awaitable[Times]]] = {
    "builtin": builtin,
    "aiohttp": aiohttp,
    "httpx": httpx,
}


async def measure(name: str, url: str, model: str, streams: int, events: int) -> dict[str, object]:
    await CLIENTS[name](url, "fast", 2, 10)  # imports, first connections
    began_s, cpu_s = time.perf_counter(), time.process_time()
    times = await CLIENTS[name](url, model, streams, events)
    wall_s, used_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    paced = model != "fast"
    counted = sum(map(len, times.values()))
    return {"events": counted, "wall_s": wall_s, "cpu_s": used_s, "times": times if paced else {}}


if __name__ == "__main__":
    _, name, url, model, streams, events, core = sys.argv
    os.sched_setaffinity(0, {int(core)})
    print(json.dumps(asyncio.run(measure(name, url, model, int(streams), int(events)))))
