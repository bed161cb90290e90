"""Checks of how an engine ends; each takes an engine of its own, with eight streams in flight."""

from __future__ import annotations

import asyncio

from tests.waiting import wait_until
from tests.wire.sim_client import Answer, call, complete, metrics
from tests.wire.sim_engines import Engine

STREAMS = 8
LONG = 900  # tokens: none of the streams is over before the signal comes
SHORT = 300
ENDS_S = 120.0  # real vLLM was seen to need 40 s on two busy cores
RUNNING = 'vllm:num_requests_running{engine="0"}'


async def in_flight(one: Engine, tokens: int) -> list[asyncio.Task[Answer]]:
    """Eight streams that all run."""
    streams = [asyncio.create_task(complete(one.port, [20 + n, 30, 40], tokens, stream=True)) for n in range(STREAMS)]

    async def running() -> bool:
        return (await metrics(one.port))[RUNNING] == STREAMS

    await wait_until(running, 30.0, what="all streams run", poll_s=0.05)
    return streams


async def sigterm_aborts_behind_an_orderly_answer(one: Engine) -> None:
    """Without --shutdown-timeout: status, framing and `[DONE]` are those of a whole answer; only one word is not."""
    streams = await in_flight(one, LONG)
    one.terminate()
    answers = await asyncio.gather(*streams)
    assert [(answer.status, answer.finish, answer.done) for answer in answers] == [(200, "abort", True)] * STREAMS
    assert all(len(answer.chunks) < LONG for answer in answers)
    assert await one.ended(ENDS_S) == 0


async def sigterm_drains(one: Engine) -> None:
    """With --shutdown-timeout: what runs ends whole, `/health` says 200 meanwhile, and a second signal is ignored."""
    streams = await in_flight(one, SHORT)
    one.terminate()
    await wait_until(lambda: "draining in-flight requests" in one.log.read_text(), 20.0, what="the drain begins")
    health = await call(one.port, "GET", "/health")
    newcomer, buffered = await complete(one.port, [20, 30], 4, stream=True), await complete(one.port, [20, 30], 4)
    one.terminate()
    answers = await asyncio.gather(*streams)
    assert [(answer.status, answer.finish, answer.done) for answer in answers] == [(200, "length", True)] * STREAMS
    assert health.status == 200
    assert (newcomer.status, newcomer.chunks, newcomer.done) == (200, [], True), "not even a finish_reason"
    assert (buffered.status, buffered.finish, buffered.text) == (200, "abort", "")
    assert await one.ended(ENDS_S) == 0


async def a_killed_worker_fails_streams_by_an_error_in_them(one: Engine) -> None:
    """The status was 200 long ago. `/health` turns 503, the log says why, and the exit status is 0 all the same."""
    streams = await in_flight(one, LONG)
    one.worker().kill()
    answers = await asyncio.gather(*streams)
    for answer in answers:
        assert (answer.status, answer.finish, answer.done) == (200, None, True)
        assert "error" in answer.chunks[-1], answer.chunks[-1]
        assert {"message", "type", "code"} <= set(answer.chunks[-1]["error"])
    assert await one.ended(ENDS_S) == 0
    assert "died unexpectedly" in one.log.read_text()
