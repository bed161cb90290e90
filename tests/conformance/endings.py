"""Checks of how an engine ends; each takes an engine of its own, with eight streams in flight.

One more stream is that of pdctl's own client, which has to find the right word for what it sees.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pdctl.bench.client import open_client, send
from pdctl.model.outcome import Outcome
from tests.waiting import wait_until
from tests.wire.sim_client import Answer, call, complete, metrics
from tests.wire.sim_engines import Engine

STREAMS = 8
LONG = 900  # tokens: none of the streams is over before the signal comes
SHORT = 300
SPEAKS_S = 15.0
ENDS_S = 120.0  # real vLLM was seen to need 40 s on two busy cores
RUNNING = 'vllm:num_requests_running{engine="0"}'


@dataclass(frozen=True, slots=True)
class InFlight:
    """Streams that run, as their bytes and as an outcome."""

    streams: tuple[asyncio.Task[Answer], ...]
    judged: asyncio.Task[Outcome]

    async def answers(self) -> list[Answer]:
        return await asyncio.gather(*self.streams)


async def in_flight(one: Engine, tokens: int) -> InFlight:
    """Eight streams that all run, and that of our client."""
    requests = (complete(one.port, [20 + n, 30, 40], tokens, stream=True, timeout_s=ENDS_S) for n in range(STREAMS))
    streams = tuple(asyncio.create_task(request) for request in requests)
    judged = asyncio.create_task(outcome(one, tokens))

    async def running() -> bool:
        return (await metrics(one.port))[RUNNING] == STREAMS + 1

    await wait_until(running, 30.0, what="all streams run", poll_s=0.05)
    return InFlight(streams, judged)


async def outcome(one: Engine, tokens: int) -> Outcome:
    """How a stream of `tokens` tokens ends for pdctl's own client."""
    body = {"model": "tiny", "prompt": [20, 30], "max_tokens": tokens, "ignore_eos": True, "stream": True}
    async with open_client(f"http://127.0.0.1:{one.port}", connections=1) as client:
        return (await send(client, "/v1/completions", body, deadline_s=ENDS_S)).outcome


async def sigterm_loses_every_stream(one: Engine) -> bool:
    """Without --shutdown-timeout no stream ends whole. Returns whether the engine came to say so.

    If it did, status, framing and `[DONE]` are those of a whole answer; only one word is not. It need not: the API
    server kills the engine core right after its SIGTERM (vLLM 0.32, "force killing remaining process"), and where the
    core had not spoken by then the streams stay silent, and open, for as long as the process is left alone.
    """
    flying = await in_flight(one, LONG)
    one.terminate()
    ended, silent = await asyncio.wait(flying.streams, timeout=SPEAKS_S)
    answers = [stream.result() for stream in ended]
    assert [(answer.status, answer.finish, answer.done) for answer in answers] == [(200, "abort", True)] * len(ended)
    assert all(len(answer.chunks) < LONG for answer in answers)
    if silent:
        one.kill()
        await asyncio.wait(silent)
        assert all(stream.exception() for stream in silent)
        assert await flying.judged in (Outcome.ABORTED, Outcome.CUT)
    else:
        assert await flying.judged is Outcome.ABORTED
        assert await one.ended(ENDS_S) == 0
    assert await outcome(one, 4) is Outcome.REFUSED
    return not silent


async def sigterm_drains(one: Engine) -> None:
    """With --shutdown-timeout: what runs ends whole, `/health` says 200 meanwhile, and a second signal is ignored."""
    flying = await in_flight(one, SHORT)
    one.terminate()
    await wait_until(lambda: "draining in-flight requests" in one.log.read_text(), 20.0, what="the drain begins")
    health = await call(one.port, "GET", "/health")
    newcomer, buffered = await complete(one.port, [20, 30], 4, stream=True), await complete(one.port, [20, 30], 4)
    one.terminate()
    answers = await flying.answers()
    assert [(answer.status, answer.finish, answer.done) for answer in answers] == [(200, "length", True)] * STREAMS
    assert await flying.judged is Outcome.OK
    assert health.status == 200
    assert (newcomer.status, newcomer.chunks, newcomer.done) == (200, [], True), "not even a finish_reason"
    assert (buffered.status, buffered.finish, buffered.text) == (200, "abort", "")
    assert await one.ended(ENDS_S) == 0


async def a_killed_worker_fails_streams_by_an_error_in_them(one: Engine) -> None:
    """The status was 200 long ago. `/health` turns 503, the log says why, and the exit status is 0 all the same."""
    flying = await in_flight(one, LONG)
    one.worker().kill()
    answers = await flying.answers()
    for answer in answers:
        assert (answer.status, answer.finish, answer.done) == (200, None, True)
        assert "error" in answer.chunks[-1], answer.chunks[-1]
        assert {"message", "type", "code"} <= set(answer.chunks[-1]["error"])
    assert await flying.judged is Outcome.ERROR
    assert await one.ended(ENDS_S) == 0
    assert "died unexpectedly" in one.log.read_text()
