"""`make demo`'s command: it serves what it says, and nothing is left of it, whatever way it ends."""

from __future__ import annotations

import random
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.fleet.command import Done, Operator, Running
from tests.fleet.traces import END_S, Traces, busiest_peer, fleet_below, processes, traces
from tests.waiting import wait_until

pytestmark = pytest.mark.fleet

SMALL = ("demo", "--headless", "--json", "--layout", "1P1D", "--concurrency", "8", "--requests", "100000")
REQUESTS = 80


async def whole_demo(operator: Operator, mode: str) -> tuple[Done, Traces]:
    """A demo that runs to its end, and what it had on this machine when all was up."""
    async with operator.starts("demo", "--headless", "--json", "--requests", str(REQUESTS), "--mode", mode) as demo:
        await demo.until(ended("up"), "the end of `up`")
        fleet = fleet_below(demo.pid)
        assert fleet is not None
        seen = traces(fleet)
        return await demo.end(), seen


def ended(command: str) -> Any:
    return lambda line: line["event"] == "run_ended" and line["command"] == command


# The other fleets of this package hand KV over in write mode.
@pytest.mark.slow
@pytest.mark.parametrize("mode", ["read", "write"])
async def test_a_demo_answers_every_request_with_kv_handed_over_and_leaves_nothing(tmp_path: Path, mode: str) -> None:
    operator = Operator(tmp_path)
    done, seen = await whole_demo(operator, mode)
    summary = done.expect(0).document
    assert summary["event"] == "summary"
    expected = {"nodes": 5, "layout": "2P3D", "mode": mode, "requests": REQUESTS, "ok": REQUESTS}
    expected |= {"failed": 0, "aborted": 0}
    expected |= {"cut": 0, "error": 0, "refused": 0, "leftovers": 0}
    expected |= {"streamed": REQUESTS // 2, "buffered": REQUESTS // 2}
    expected |= {"kv_handoffs": REQUESTS, "kv_handoffs_prefill": REQUESTS, "kv_handoffs_decode": REQUESTS}
    expected |= {"decode_local_compute_tokens": 0, "exit_code": 0}
    assert {key: summary[key] for key in expected} == expected
    assert len(seen.listening) > 5 * 2, "nodes, engines and the router listened"
    await wait_until(lambda: not seen.left(), END_S, what="; ".join(seen.left()))


async def dies_in_up(demo: Running, rng: random.Random) -> str:
    steps = rng.randrange(1, 12)
    for _ in range(steps):
        await demo.until(lambda line: line["event"] in ("step_started", "step_done"), "a step")
    return f"after {steps} step events of `up`"


async def dies_in_load(demo: Running, rng: random.Random) -> str:
    await demo.until(ended("up"), "the end of `up`")
    await wait_until(lambda: busiest_peer(demo.pid) >= 4, 20.0, what="the load runs")
    return "under load"


async def dies_in_down(demo: Running, rng: random.Random) -> str:
    await dies_in_load(demo, rng)
    demo.send(signal.SIGINT)
    steps = rng.randrange(0, 8)
    await demo.until(lambda line: line.get("command") == "down", "the start of `down`")
    for _ in range(steps):
        await demo.until(lambda line: line["event"] in ("step_started", "step_done"), "a step")
    return f"after {steps} step events of `down`"


@pytest.mark.parametrize(
    "dies",
    [
        pytest.param(dies_in_up, marks=pytest.mark.slow),
        dies_in_load,
        pytest.param(dies_in_down, marks=pytest.mark.slow),
    ],
)
async def test_nothing_is_left_of_a_demo_that_is_killed(tmp_path: Path, dies: Any) -> None:
    async with Operator(tmp_path).starts(*SMALL) as demo:
        moment = await dies(demo, random.Random())
        fleet = fleet_below(demo.pid)
        assert fleet is not None
        seen = traces(fleet)
        demo.send(signal.SIGKILL)
    await wait_until(lambda: not seen.left(), END_S, what=f"killed {moment}: {'; '.join(seen.left())}")


@pytest.mark.slow
async def test_a_second_ctrl_c_waits_for_no_drain_and_nothing_is_left_either(tmp_path: Path) -> None:
    async with Operator(tmp_path).starts(*SMALL) as demo:
        await dies_in_load(demo, random.Random())
        fleet = fleet_below(demo.pid)
        assert fleet is not None
        seen = traces(fleet)
        demo.send(signal.SIGINT)
        await demo.until(lambda line: line.get("command") == "down", "the start of `down`")
        demo.send(signal.SIGINT)
        done = (await demo.end()).expect(130)
    assert [event["command"] for event in done.events("run_ended")] == ["up"], "`down` was not waited for"
    await wait_until(lambda: not seen.left(), END_S, what="; ".join(seen.left()))


async def test_a_demo_that_is_stopped_by_ctrl_c_takes_all_down_first(tmp_path: Path) -> None:
    async with Operator(tmp_path).starts(*SMALL) as demo:
        await dies_in_load(demo, random.Random())
        fleet = fleet_below(demo.pid)
        assert fleet is not None
        demo.send(signal.SIGINT)
        done = (await demo.end()).expect(130)
    assert done.events("run_ended")[-1]["command"] == "down"
    assert done.events("run_ended")[-1]["exit_code"] == 0
    summary = done.document
    assert summary["ok"] == summary["requests"] == summary["kv_handoffs"] > 0, "what was sent was answered whole"
    assert summary["leftovers"] == 0
    assert processes(fleet) == []
