"""1P2D of real vLLM on CPU, KV by NIXL: brought up, used, changed under load, broken, and taken down by pdctl."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from pdctl.bench.load import run_load
from pdctl.model.load import LoadReport, LoadSpec
from tests.fleet.command import Json
from tests.fleet.site import launches, of
from tests.real.kv import kv_of, kv_of_role
from tests.real.stack import BLOCK_TOKENS, KV_BYTES_PER_TOKEN, MODEL, UP_S, Stack, complete
from tests.waiting import wait_until

VOCABULARY = 400  # of the tiny model's tokens, those that every build of its tokenizer has
ENDLESS = 100_000
PROMPTS = (
    "The prefill node reads the whole",
    "Where do nodes go at night?",
    "A router picks a pair of engines for every request, and " * 8,
)


def load_of(
    stack: Stack, *, requests: int = ENDLESS, isl: int = 100, osl: int = 32, stream_share: float = 0.5
) -> LoadSpec:
    return LoadSpec(
        url=stack.router_url,
        model=MODEL,
        concurrency=6,
        isl=isl,
        osl=osl,
        requests=requests,
        vocab=VOCABULARY,
        stream_share=stream_share,
        deadline_s=300.0,
    )


def outcomes(report: LoadReport) -> str:
    counts = report.counts
    return (
        f"{counts.total} requests: {counts.ok} ok, {counts.aborted} aborted, {counts.error} error, {counts.cut} cut, "
        f"{counts.refused} refused"
    )


async def test_requests_are_served_and_their_kv_moves(serving: Stack) -> None:
    before = await serving.status()
    kv_before = await kv_of_role(before, "decode")
    prefill_before = await kv_of_role(before, "prefill")
    isl, requests = 100, 40
    report = await run_load(load_of(serving, requests=requests, isl=isl))
    moved = await kv_of_role(before, "decode") - kv_before
    prefilled = await kv_of_role(before, "prefill") - prefill_before
    serving.figures.add(f"load through the router: {outcomes(report)}; {report.streamed} of them streamed")
    serving.figures.add(
        f"KV moved to decode: {moved.external_tokens:.0f} tokens, {moved.transferred_bytes:.0f} bytes in "
        f"{moved.transfers:.0f} transfers; decode local_compute: {moved.local_tokens:.0f}; "
        f"prefill local_compute: {prefilled.local_tokens:.0f}"
    )
    assert (report.counts.ok, report.counts.failed) == (requests, 0), report.failures
    assert report.tokens == requests * 32
    assert 0 < report.streamed < requests
    assert (moved.local_tokens, moved.external_tokens) == (0, requests * isl), "decode computed prompts by itself"
    assert prefilled.local_tokens == requests * isl
    assert (moved.transfers, moved.failed) == (requests, 0)
    derived_bytes = requests * -(-isl // BLOCK_TOKENS) * BLOCK_TOKENS * KV_BYTES_PER_TOKEN
    assert moved.transferred_bytes == pytest.approx(derived_bytes, rel=0.03), "KV moves in whole blocks"


async def test_every_decode_takes_part(serving: Stack) -> None:
    seen = await serving.status()
    decodes = [instance for instance in seen["instances"] if instance["role"] == "decode"]
    before = [(await kv_of(instance)).transfers for instance in decodes]
    await run_load(load_of(serving, requests=12))
    after = [(await kv_of(instance)).transfers for instance in decodes]
    assert all(later > earlier for later, earlier in zip(after, before, strict=True)), (before, after)


@pytest.mark.parametrize("prompt", PROMPTS)
async def test_the_pairs_text_is_that_of_the_decode_engine_alone(serving: Stack, prompt: str) -> None:
    decode = of(await serving.status(), "n2.main.0")
    asked = {"prompt": prompt, "max_tokens": 24, "ignore_eos": True}
    by_pair = (await complete(serving.router_url, asked))["choices"][0]
    alone = (await complete(f"http://{decode['endpoint']}", asked))["choices"][0]
    assert by_pair["text"].strip()
    assert (by_pair["text"], by_pair["finish_reason"]) == (alone["text"], "length")


async def prefilled(prefill: Json, prompt: list[int]) -> Json:
    """The prefill leg; what the decode leg needs to pull the KV."""
    params = {"do_remote_decode": True, "do_remote_prefill": False, "remote_engine_id": None}
    body = {"prompt": prompt, "max_tokens": 1, "min_tokens": 1, "kv_transfer_params": params}
    found: Json = (await complete(f"http://{prefill['endpoint']}", body))["kv_transfer_params"]
    return found


async def test_kv_of_another_prompt_gives_another_text(serving: Stack) -> None:
    """The proof of equal texts is worth something: were the wrong blocks pulled, the text would tell."""
    seen = await serving.status()
    prefill, decode = of(seen, "n1.main.0"), of(seen, "n2.main.0")
    mine, others = list(range(20, 120)), list(range(220, 320))
    texts = []
    for computed in (mine, others):
        params = await prefilled(prefill, computed)
        body = {"prompt": mine, "max_tokens": 24, "ignore_eos": True, "kv_transfer_params": params}
        texts.append((await complete(f"http://{decode['endpoint']}", body))["choices"][0]["text"])
    assert texts[0].strip()
    assert texts[0] != texts[1]


async def test_a_decode_drained_and_one_added_in_mid_stream_cut_no_stream(serving: Stack) -> None:
    over = asyncio.Event()
    load = asyncio.create_task(run_load(load_of(serving, osl=300, stream_share=1.0), stop=over.is_set))
    try:
        down = await serving.timed("down", "n3")
    finally:
        over.set()
        report = await load
    serving.figures.add(f"streams while a decode was drained: {outcomes(report)}")
    assert (report.counts.failed, report.counts.ok >= 6) == (0, True), report.failures
    drains = [event["detail"] for event in down.events("step_done") if event["action"] == "drain"]
    assert [detail["cut"] for detail in drains] == [0]
    assert drains[0]["in_flight_at_fence"] > 0, "nothing was in flight: the drain proves nothing"

    begun_s = time.monotonic()
    async with serving.site.operator.starts("up", "--json") as running:
        await running.until(is_ready, "the new decode's readiness", UP_S)
        over = asyncio.Event()
        load = asyncio.create_task(run_load(load_of(serving, osl=300, stream_share=1.0), stop=over.is_set))
        try:
            await running.end(UP_S)
            await serving.timed("up")  # nothing is left to do, unless the first one lost its lease
            serving.figures.add(f"pdctl up, of one decode: {time.monotonic() - begun_s:.1f} s")
            added = of(await serving.status(), "n3.main.0")
            before = await kv_of(added)

            async def takes_part() -> bool:
                return (await kv_of(added)).transfers > before.transfers

            await wait_until(takes_part, 120.0, what="the new decode takes part", poll_s=0.2)
        finally:
            over.set()
            report = await load
    serving.figures.add(f"streams while a decode was added: {outcomes(report)}")
    assert (report.counts.failed, report.counts.ok >= 6) == (0, True), report.failures
    assert (await serving.status())["ratio"] == "1P2D"


def is_ready(event: Json) -> bool:
    return bool(event["event"] == "step_done" and event["action"] == "await ready")


async def test_a_killed_worker_and_a_killed_leader_are_named_swept_and_healed(serving: Stack) -> None:
    seen = await serving.status()
    before = launches(seen)
    bereft, headless = of(seen, "n2.main.0"), of(seen, "n3.main.0")
    worker = next(each for each in family(bereft["pid"]) if "VLLM::Worker" in each.cmdline()[0])
    workers = [each for each in family(headless["pid"]) if each.pid != headless["pid"]]
    assert len(workers) >= 2
    worker.kill()
    os.kill(headless["pid"], signal.SIGKILL)

    async def both_failed() -> bool:
        nonlocal seen
        seen = await serving.status()
        return {of(seen, name)["state"] for name in ("n2.main.0", "n3.main.0")} == {"failed"}

    await wait_until(both_failed, 90.0, what="both deaths are seen", poll_s=0.5)
    assert of(seen, "n2.main.0")["why"] == "exit status 0: worker process VllmWorker-0 died unexpectedly"
    assert of(seen, "n3.main.0")["why"].startswith(f"killed by SIGKILL, {len(workers)} leftover processes swept")
    assert not [each for each in workers if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
    await serving.timed("up")
    seen = await serving.status()
    assert (seen["serving"], seen["ratio"]) == (True, "1P2D")
    after = launches(seen)
    assert {name for name in ("n1.main.0", "n2.main.0", "n3.main.0") if after[name] != before[name]} == {
        "n2.main.0",
        "n3.main.0",
    }
    report = await run_load(load_of(serving, requests=12))
    assert (report.counts.ok, report.counts.failed) == (12, 0), report.failures


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
    decoded = await kv_of_role(seen, "decode")
    report = await run_load(load_of(other, requests=20))
    other.figures.add(f"after n3 turned from decode to prefill: {outcomes(report)}")
    assert (report.counts.ok, report.counts.failed) == (20, 0), report.failures
    assert (await kv_of(of(seen, "n3.main.0")) - kv_before).local_tokens > 0, "the new prefill does its share"
    assert (await kv_of_role(seen, "decode") - decoded).local_tokens == 0


async def test_logs_and_down_leave_nothing(nodes: Stack) -> None:
    seen = await nodes.status()
    leaders = [view["pid"] for view in [*seen["instances"], *seen["services"]] if view["pid"]]
    assert leaders, "nothing is up"
    alive = [each for pid in leaders for each in family(pid)]
    lines = (await nodes.site.operator.pdctl("logs", "n1")).expect(0).out
    assert "GET /health" not in lines, "what is polled is not logged"
    assert "vLLM" in (await nodes.site.operator.pdctl("logs", "n1", "-n", "2000")).expect(0).out
    await nodes.timed("down")
    seen = await nodes.status()
    assert {view["state"] for view in [*seen["instances"], *seen["services"]]} == {"down"}
    assert not [each for each in alive if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


def family(pid: int) -> list[psutil.Process]:
    """The process and all below it."""
    leader = psutil.Process(pid)
    return [leader, *leader.children(recursive=True)]
