"""The load client against servers that misbehave in every way that was seen of real ones."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import httpx
import pytest

from pdctl.bench.client import open_client, send
from pdctl.bench.fake import ScriptedLoad
from pdctl.bench.load import run_load
from pdctl.model.load import Api, LoadRunner, LoadSpec, PromptKind
from pdctl.model.outcome import Outcome, OutcomeCounts, RequestResult
from tests.wire.misbehaving import DONE, STREAMS, USAGE, resets, says
from tests.wire.scripted_http import Script, end, event, head, scripted_server, token, whole

STREAM = {"model": "m", "prompt": [1], "stream": True}
BUFFERED = {"model": "m", "prompt": [1], "stream": False}


@pytest.fixture
def closed_url() -> Iterator[str]:
    """A port that is taken, so that nobody else listens there, and does not listen."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


async def ask(script: Script, body: Mapping[str, Any], *, deadline_s: float = 10.0) -> RequestResult:
    async with scripted_server(script) as url, open_client(url, connections=1) as client:
        return await send(client, "/v1/completions", body, deadline_s=deadline_s)


def completion(finish: str | None = "length") -> str:
    choice = {"index": 0, "text": " a b c", "finish_reason": finish}
    return json.dumps({"choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 3}})


@pytest.mark.parametrize(("script", "outcome", "detail"), [row[1:] for row in STREAMS], ids=[row[0] for row in STREAMS])
async def test_outcome_of_a_stream(script: Script, outcome: Outcome, detail: str) -> None:
    result = await ask(script, STREAM)
    assert (result.outcome, result.streamed) == (outcome, True)
    assert detail in result.detail
    assert bool(result.detail) == result.outcome.failed


BODIES: list[tuple[str, Script, Outcome, str]] = [
    ("whole", says(whole(200, completion())), Outcome.OK, ""),
    ("abort", says(whole(200, completion("abort"))), Outcome.ABORTED, "abort"),
    ("engine's finish_reason error", says(whole(200, completion("error"))), Outcome.ERROR, "error"),
    ("error behind 200", says(whole(200, '{"error":{"message":"boom"}}')), Outcome.ERROR, "boom"),
    ("no JSON", says(whole(200, "<html>")), Outcome.ERROR, "<html>"),
    ("empty body", says(whole(200, "")), Outcome.CUT, "empty body"),
    ("no choices", says(whole(200, "{}")), Outcome.CUT, "finish_reason"),
    ("shorter than announced", says(head(length=100), b"{"), Outcome.CUT, "connection lost"),
    ("400", says(whole(400, '{"error":"bad"}')), Outcome.ERROR, "HTTP 400: bad"),
    ("503", says(whole(503, "")), Outcome.REFUSED, "HTTP 503: no body"),
]


@pytest.mark.parametrize(("script", "outcome", "detail"), [row[1:] for row in BODIES], ids=[row[0] for row in BODIES])
async def test_outcome_of_a_buffered_answer(script: Script, outcome: Outcome, detail: str) -> None:
    result = await ask(script, BUFFERED)
    assert (result.outcome, result.streamed, result.ttft_s) == (outcome, False, None)
    assert detail in result.detail


@pytest.mark.parametrize("body", [STREAM, BUFFERED], ids=["streamed", "buffered"])
async def test_nobody_listens(body: Mapping[str, Any], closed_url: str) -> None:
    async with open_client(closed_url, connections=1) as client:
        result = await send(client, "/v1/completions", body, deadline_s=10.0)
    assert result.outcome is Outcome.REFUSED
    assert "no connection" in result.detail


async def test_server_hangs_in_mid_stream() -> None:
    async def script(writer: asyncio.StreamWriter, _: Mapping[str, Any]) -> None:
        writer.write(head() + token())
        await asyncio.sleep(60)

    result = await ask(script, STREAM, deadline_s=1.0)
    assert (result.outcome, result.tokens) == (Outcome.CUT, 1)
    assert result.ttft_s is not None
    assert "within 1 s" in result.detail


async def test_abort_is_told_even_when_the_connection_goes_next() -> None:
    result = await ask(resets(head(), token(), token("", "abort")), STREAM)
    assert result.outcome is Outcome.ABORTED


class Seconds:
    """A clock that others set."""

    def __init__(self) -> None:
        self.now_s = 50.0

    def __call__(self) -> float:
        return self.now_s


async def test_times_and_tokens_are_those_of_the_stream() -> None:
    clock = Seconds()

    class Paced(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for pause_s, text in [(0.5, b'" a"'), (0.125, b'" b"'), (0.25, b'" c"')]:
                clock.now_s += pause_s
                yield b'data: {"choices":[{"text":%b,"finish_reason":"length"}]}\n\n' % text
            clock.now_s += 1.0
            yield b'data: {"choices":[],"usage":{"completion_tokens":4}}\n\ndata: [DONE]\n\n'

    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=Paced()))
    async with httpx.AsyncClient(transport=transport, base_url="http://scripted") as client:
        result = await send(client, "/v1/completions", STREAM, deadline_s=10.0, clock=clock)
    assert result == RequestResult(Outcome.OK, 0.5, (0.125, 0.25), 1.875, tokens=4, streamed=True)


class Recorder:
    """A well-behaved server; keeps what it was asked, and answers nobody until `at_once` requests were in flight."""

    def __init__(self, at_once: int = 1) -> None:
        self.asked: list[Mapping[str, Any]] = []
        self.most_at_once = 0
        self._at_once = at_once
        self._now = 0
        self._full = asyncio.Event()

    async def __call__(self, writer: asyncio.StreamWriter, body: Mapping[str, Any]) -> None:
        self.asked.append(body)
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        if self._now == self._at_once:
            self._full.set()
        await self._full.wait()
        self._now -= 1
        if body["stream"]:
            writer.write(head() + token() + token() + token(finish="length") + USAGE + DONE + end())
        else:
            writer.write(whole(200, completion()))


async def test_closed_loop_sends_what_was_asked() -> None:
    server, seen = Recorder(at_once=4), list[RequestResult]()
    async with scripted_server(server) as url:
        spec = LoadSpec(url, "tiny", concurrency=4, isl=16, osl=3, requests=20, stream_share=0.75, seed=7)
        report = await run_load(spec, seen.append)
    assert report.counts == OutcomeCounts(ok=20)
    assert (report.streamed, report.buffered, len(seen)) == (15, 5, 20)
    assert server.most_at_once == 4
    assert report.tokens == 60
    assert report.tokens_per_s == pytest.approx(60 / report.took_s)
    assert report.ttft is not None
    assert report.ttft.count == 15
    assert report.e2el is not None
    assert report.e2el.count == 20
    assert {len(body["prompt"]) for body in server.asked} == {16}
    assert len({tuple(body["prompt"]) for body in server.asked}) == 20
    assert all(body["ignore_eos"] and body["max_tokens"] == body["min_tokens"] == 3 for body in server.asked)


async def test_same_seed_same_load() -> None:
    def prompts(server: Recorder) -> list[Any]:
        return sorted(body["prompt"] for body in server.asked)

    runs = []
    for seed in (1, 1, 2):
        server = Recorder()
        async with scripted_server(server) as url:
            await run_load(LoadSpec(url, "m", concurrency=2, isl=8, osl=3, requests=6, seed=seed))
        runs.append(prompts(server))
    assert runs[0] == runs[1] != runs[2]


async def test_load_by_duration_waits_for_what_is_in_flight() -> None:
    clock = Seconds()

    async def script(writer: asyncio.StreamWriter, _: Mapping[str, Any]) -> None:
        clock.now_s += 0.125
        writer.write(whole(200, completion()))

    async with scripted_server(script) as url:
        spec = LoadSpec(url, "m", concurrency=1, isl=1, osl=3, duration_s=0.3, stream_share=0)
        report = await run_load(spec, clock=clock)
    assert report.counts == OutcomeCounts(ok=3)  # sent at 0, 0.125 and 0.25 s
    assert report.took_s == 0.375


async def test_load_counts_failures_and_names_them() -> None:
    answers = iter([whole(500, "boom", "text/plain"), whole(503, ""), whole(200, ""), whole(200, completion("abort"))])

    async def script(writer: asyncio.StreamWriter, _: Mapping[str, Any]) -> None:
        writer.write(next(answers, whole(200, completion())))

    async with scripted_server(script) as url:
        spec = LoadSpec(url, "m", concurrency=1, isl=1, osl=3, requests=10, stream_share=0, refused_pause_s=0)
        report = await run_load(spec)
    assert report.counts == OutcomeCounts(ok=6, aborted=1, error=1, cut=1, refused=1)
    assert (report.counts.failed, report.counts.total) == (4, 10)
    assert ("error: HTTP 500: boom", 1) in report.failures
    assert report.tokens == 18


async def test_refusing_server_is_not_hammered(closed_url: str) -> None:
    spec = LoadSpec(closed_url, "m", concurrency=1, isl=1, osl=1, duration_s=0.3, refused_pause_s=0.1)
    report = await run_load(spec)
    assert 1 <= report.counts.refused <= 4
    assert (report.ttft, report.e2el, report.tokens_per_s) == (None, None, 0.0)


async def test_chat_in_words() -> None:
    asked: list[Mapping[str, Any]] = []

    async def script(writer: asyncio.StreamWriter, body: Mapping[str, Any]) -> None:
        asked.append(body)
        deltas = [{"role": "assistant", "content": ""}, {"content": "Hi"}, {"reasoning": "so"}]
        frames = [event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}) for delta in deltas]
        last = event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        writer.write(b"".join([head(), *frames, last, DONE, end()]))

    async with scripted_server(script) as url:
        spec = LoadSpec(url, "m", 1, isl=12, osl=2, requests=1, api=Api.CHAT, prompt=PromptKind.WORDS)
        report = await run_load(spec)
    assert report.counts.ok == 1
    assert report.tokens == 2  # neither the role nor the empty last delta is a token
    assert len(asked[0]["messages"][0]["content"].split()) == 12


@pytest.mark.parametrize(
    "change",
    [{"requests": None}, {"concurrency": 0}, {"osl": 0}, {"stream_share": 1.5}, {"api": Api.CHAT}, {"url": "host:1"}],
    ids=lambda change: next(iter(change)),
)
def test_load_that_is_none(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        dataclasses.replace(LoadSpec("http://h", "m", concurrency=1, isl=1, osl=1, requests=1), **change)


async def test_fake_runner_reports_like_the_real_one() -> None:
    fake = ScriptedLoad([RequestResult(Outcome.CUT, None, (), 1.0, 0, streamed=True, detail="gone")])
    runners: list[LoadRunner] = [fake, run_load]
    spec = LoadSpec("http://h", "m", concurrency=1, isl=1, osl=1, requests=1)
    seen: list[RequestResult] = []
    report = await runners[0](spec, seen.append)
    assert (report.counts.cut, report.failures, len(seen), fake.specs) == (1, (("cut: gone", 1),), 1, [spec])


async def test_after_a_refusal_no_connection_is_used_twice_until_an_answer_comes() -> None:
    """A router that refuses may be about to end, and what is sent on a connection that it closes would be lost."""
    statuses, closes = iter([200, 503, 503, 200, 200]), []
    serving: list[asyncio.Task[None]] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.append(task)
        while asked := await reader.read(65536):
            closes.append(b"connection: close" in asked.lower())
            body = completion().encode()
            writer.write(b"HTTP/1.1 %d x\r\ncontent-length: %d\r\n\r\n%b" % (next(statuses), len(body), body))
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        spec = LoadSpec(url, "m", concurrency=1, isl=1, osl=3, requests=5, stream_share=0, refused_pause_s=0)
        report = await run_load(spec)
        await asyncio.gather(*serving)
    assert report.counts == OutcomeCounts(ok=3, refused=2)
    assert closes == [False, False, True, True, False]
