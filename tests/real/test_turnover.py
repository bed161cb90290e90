"""1P2D of real vLLM on CPU: decodes leave and join under load, some are killed, one changes its role, all go down."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import pytest

from pdctl.bench.load import run_load
from pdctl.model.load import LoadReport, LoadSpec
from pdctl.model.outcome import OutcomeCounts
from tests.fleet.command import Json
from tests.fleet.site import alive, launches, of
from tests.real.figures import in_words
from tests.real.kv import Kv, kv_of, running_at
from tests.real.stack import UP_S, Stack, traffic
from tests.waiting import wait_until

CLIENTS = 6
LONG = 900  # tokens: such a stream takes longer than the router needs to forget a decode


class Ongoing:
    """A load that goes on while something happens; its report is there when the block has ended."""

    report: LoadReport
    decode: Kv


@asynccontextmanager
async def streams(stack: Stack, what: str, tokens: int) -> AsyncIterator[Ongoing]:
    """Streaming clients of the router, for as long as the block lasts; then what is in flight ends whole."""
    over, ongoing = asyncio.Event(), Ongoing()
    spec = traffic(stack.router_url, osl=tokens, stream_share=1.0, clients=CLIENTS)
    load = asyncio.create_task(stack.load(what, spec, over.is_set))
    try:
        yield ongoing
    finally:
        over.set()
        ongoing.report, ongoing.decode = await load


async def test_a_decode_is_drained_in_mid_stream(serving: Stack) -> None:
    leaving = of(await serving.status(), "n3.main.0")
    async with streams(serving, "while a decode was drained", LONG) as load:
        await wait_until(partial(_busy, leaving), 120.0, what="n3 decodes", poll_s=0.2)
        down = await serving.timed("down", "n3")
    assert (load.report.counts.failed, load.report.counts.ok >= CLIENTS) == (0, True), load.report.failures
    assert load.decode.local_tokens == 0
    (drained,) = [event["detail"] for event in down.events("step_done") if event["action"] == "drain"]
    assert drained["in_flight_at_fence"] > 0, "nothing was in flight: the drain proves nothing"
    assert (drained["drained"], drained["cut"]) == (True, 0)
    serving.figures.notes.append(
        f"drain of n3: {drained['in_flight_at_fence']} streams in flight when the router had forgotten it, "
        f"{drained['cut']} cut, drained after {drained['drained_s']:.1f} s"
    )


async def test_a_decode_is_added_in_mid_stream(serving_one: Stack) -> None:
    stack, begun_s = serving_one, time.monotonic()
    async with stack.site.operator.starts("up", "--json") as running:
        await running.until(_is_ready, "the new decode's readiness", UP_S)
        async with streams(stack, "while a decode was added", 300) as load:
            stack.note(("up",), begun_s, await running.end(UP_S))
            added = of(await stack.status(), "n3.main.0")
            before = await kv_of(added)

            async def takes_part() -> bool:
                return (await kv_of(added)).transfers > before.transfers

            await wait_until(takes_part, 120.0, what="the new decode takes part", poll_s=0.2)
    assert (load.report.counts.failed, load.report.counts.ok >= CLIENTS) == (0, True), load.report.failures
    assert load.decode.local_tokens == 0
    assert (await stack.status())["ratio"] == "1P2D"


def _is_ready(event: Json) -> bool:
    return bool(event["event"] == "step_done" and event["action"] == "await ready")


async def test_a_killed_worker_and_a_killed_leader_are_named_swept_and_healed(serving: Stack) -> None:
    """Each with two clients of its own, who see how either death looks from outside."""
    seen = await serving.status()
    before = launches(seen)
    bereft, headless = of(seen, "n2.main.0"), of(seen, "n3.main.0")
    worker = next(each for each in _family(bereft["pid"]) if "VLLM::Worker" in each.cmdline()[0])
    workers = [each.pid for each in _family(headless["pid"]) if each.pid != headless["pid"]]
    assert len(workers) >= 2
    loads = [asyncio.create_task(run_load(_two_streams(one))) for one in (bereft, headless)]
    try:
        for one, load in zip((bereft, headless), loads, strict=True):
            await wait_until(partial(_busy, one, load), 60.0, what=f"both streams run at {one['name']}", poll_s=0.1)
            assert not load.done(), load.result()
        worker.kill()
        os.kill(headless["pid"], signal.SIGKILL)

        async def both_failed() -> bool:
            nonlocal seen
            seen = await serving.status()
            return {of(seen, name)["state"] for name in ("n2.main.0", "n3.main.0")} == {"failed"}

        await wait_until(both_failed, 90.0, what="both deaths are seen", poll_s=0.5)
    finally:
        by_worker, by_leader = [(await load).counts for load in loads]
    later = (await run_load(_two_streams(headless))).counts
    why = {name: of(seen, name)["why"] for name in ("n2.main.0", "n3.main.0")}
    serving.figures.notes += [
        f"kill -9 of n2's worker, its clients: {in_words(by_worker)}; status: {why['n2.main.0']}",
        f"kill -9 of n3's leader, its clients: {in_words(by_leader)}, then {in_words(later)}; "
        f"status: {why['n3.main.0']}",
    ]
    assert by_worker == OutcomeCounts(error=2)
    assert by_leader == OutcomeCounts(cut=2)
    assert later == OutcomeCounts(refused=2)
    assert why["n2.main.0"] == "exit status 0: worker process VllmWorker-0 died unexpectedly"
    assert why["n3.main.0"].startswith(f"killed by SIGKILL, {len(workers)} leftover processes swept")
    assert not any(map(alive, workers))

    await serving.timed("up")
    seen = await serving.status()
    assert (seen["serving"], seen["ratio"]) == (True, "1P2D")
    after = launches(seen)
    assert {name for name in after if after[name] != before[name]} == {"n2.main.0", "n3.main.0"}
    report, moved = await serving.load("after up had healed both", traffic(serving.router_url, requests=12))
    assert (report.counts.ok, report.counts.failed, moved.local_tokens) == (12, 0, 0), report.failures


async def test_a_decode_becomes_a_prefill_by_a_change_of_the_inventory(serving: Stack, tmp_path: Path) -> None:
    def turned(document: Json) -> None:
        document["nodes"]["n3"]["pool"] = "prefill"

    before = launches(await serving.status())
    other = Stack(replace(serving.site, operator=serving.site.with_inventory(tmp_path, turned)), serving.figures)
    await other.timed("up")
    seen = await other.status()
    assert (seen["serving"], seen["ratio"], of(seen, "n3.main.0")["role"]) == (True, "2P1D", "prefill")
    after = launches(seen)
    assert {name for name in before if after[name] != before[name]} - {"router", "registrar"} == {"n3.main.0"}
    kv_before = await kv_of(of(seen, "n3.main.0"))
    report, moved = await other.load("after n3 had become a prefill", traffic(serving.router_url, requests=20))
    assert (report.counts.ok, report.counts.failed, moved.local_tokens) == (20, 0, 0), report.failures
    assert (await kv_of(of(seen, "n3.main.0")) - kv_before).local_tokens > 0, "the new prefill does its share"


async def test_logs_and_down_leave_nothing(nodes: Stack) -> None:
    seen = await nodes.status()
    leaders = [view["pid"] for view in [*seen["instances"], *seen["services"]] if view["pid"]]
    assert leaders, "nothing is up"
    running = [each.pid for pid in leaders for each in _family(pid)]
    lines = (await nodes.site.operator.pdctl("logs", "n1")).expect(0).out
    assert "GET /health" not in lines, "what is polled is not logged"
    assert "vLLM" in (await nodes.site.operator.pdctl("logs", "n1", "-n", "2000")).expect(0).out
    await nodes.timed("down")
    seen = await nodes.status()
    assert {view["state"] for view in [*seen["instances"], *seen["services"]]} == {"down"}
    assert not any(map(alive, running))


@pytest.fixture
async def serving_one(nodes: Stack) -> Stack:
    """1P1D, and n3 taken down."""
    seen = await nodes.status()
    if of(seen, "n3.main.0")["state"] != "down" or not seen["serving"]:
        await nodes.timed("up")
        await nodes.timed("down", "n3")
    return nodes


def _family(pid: int) -> list[psutil.Process]:
    """The process and all below it."""
    leader = psutil.Process(pid)
    return [leader, *leader.children(recursive=True)]


def _two_streams(instance: Json) -> LoadSpec:
    """Straight to the engine."""
    return traffic(f"http://{instance['endpoint']}", requests=2, osl=LONG, stream_share=1.0, clients=2)


async def _busy(instance: Json, load: asyncio.Task[LoadReport] | None = None) -> bool:
    """Whether the engine has two requests in hand, or would never have because the load is over."""
    return (load is not None and load.done()) or await running_at(instance) >= 2
