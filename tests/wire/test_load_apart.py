"""A load in a process of its own: the same report and results, a stop that is obeyed, nothing left behind."""

from __future__ import annotations

import asyncio

import psutil
import pytest

from pdctl.bench.apart import run_load_apart
from pdctl.model.load import LoadSpec
from pdctl.model.outcome import Outcome, RequestResult
from tests.wire.misbehaving import DONE, USAGE, says
from tests.wire.scripted_http import end, head, scripted_server, token

ANSWER = says(head(), token(), token(), token(finish="length"), USAGE, DONE, end())
ABORT = says(head(), token(), token("", "abort"), USAGE, DONE, end())


def spec(url: str, requests: int) -> LoadSpec:
    return LoadSpec(url=url, model="m", concurrency=2, isl=4, osl=3, requests=requests)


async def test_every_result_and_the_report_come_over() -> None:
    results: list[RequestResult] = []
    async with scripted_server(ANSWER) as url:
        report = await run_load_apart(spec(url, 6), results.append)
    assert [result.outcome for result in results] == [Outcome.OK] * 6
    assert (report.counts.ok, report.tokens) == (6, 18)
    assert report.ttft is not None and report.ttft.count == 6
    assert not psutil.Process().children()


async def test_failures_keep_their_details() -> None:
    async with scripted_server(ABORT) as url:
        report = await run_load_apart(spec(url, 3))
    assert report.counts.aborted == 3
    assert report.failures[0][1] == 3
    assert report.ttft is None


async def test_stops_when_it_is_asked_to() -> None:
    seen: list[RequestResult] = []
    async with scripted_server(ANSWER) as url:
        report = await run_load_apart(spec(url, 1_000_000), seen.append, lambda: len(seen) >= 3)
    assert 3 <= report.counts.ok < 1_000_000
    assert report.counts.ok == len(seen)


async def test_ends_with_a_caller_that_is_cancelled() -> None:
    began = asyncio.Event()
    async with scripted_server(ANSWER) as url:
        running = asyncio.create_task(run_load_apart(spec(url, 1_000_000), lambda _: began.set()))
        await asyncio.wait_for(began.wait(), 30)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert not psutil.Process().children()


async def test_a_child_that_dies_is_told_with_its_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pdctl.bench.apart.sys.executable", "/bin/false")
    with pytest.raises(RuntimeError, match="ended without a report"):
        await run_load_apart(spec("http://127.0.0.1:9", 1))
