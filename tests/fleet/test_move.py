"""Roles change while clients stream: nobody's answer is lost, and the inventory changes by one word."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fleet.command import Json, Operator
from tests.fleet.requests import load_until
from tests.fleet.site import Site, launches, of, status

pytestmark = pytest.mark.fleet


async def test_a_prefill_becomes_a_decode_under_load_and_back(serving: Site) -> None:
    operator = serving.operator
    assert operator.inventory is not None
    text, before = operator.inventory.read_text(), launches(await status(operator))
    over = asyncio.Event()
    load = asyncio.create_task(load_until(serving.router_url, over.is_set))
    try:
        for pool, ratio in (("decode", "1P4D"), ("prefill", "2P3D")):
            done = (await operator.pdctl("move", "n2", "--to", pool, "--json")).expect(0)
            seen = await status(operator)
            assert (seen["serving"], seen["ratio"], of(seen, "n2.main.0")["pool"]) == (True, ratio, pool)
            (moved,) = done.events("moved")
            assert (moved["outcome"], moved["to_pool"], moved["cut"]) == ("moved", pool, 0)
            assert set(moved["phases"]) == {
                "fence", "drain", "commit", "stop", "start", "ready", "canary", "register"
            }  # fmt: skip
            (plan,) = (await operator.pdctl("plan", "--json")).expect(0).events("plan")
            assert plan["converged"], "the record of what was applied went along"
    finally:
        over.set()
        report = await load
    assert report.counts.failed == 0, report.failures
    assert report.counts.ok > 10
    assert operator.inventory.read_text() == text, "there and back is the same file to the byte"
    after = launches(await status(operator))
    assert {name for name in after if after[name] != before[name]} == {"n2.main.0"}
    assert after["n2.main.0"][1] == before["n2.main.0"][1] + 2
    assert after["n2.main.0"][2] != before["n2.main.0"][2], "new ports"


async def test_ctrl_c_while_it_is_fenced_puts_everything_back(serving: Site) -> None:
    operator = serving.operator
    assert operator.inventory is not None
    text, before = operator.inventory.read_text(), launches(await status(operator))
    async with operator.starts("move", "n2", "--to", "decode", "--json") as running:
        await running.until(lambda line: line["event"] == "step_progress" and line["action"] == "fence", "the fence")
        running.send(signal.SIGINT)
        done = (await running.end()).expect(130)
    (moved,) = done.events("moved")
    assert moved["outcome"] == "put back"
    assert "put back" in done.events("run_ended")[0]["text"]
    assert operator.inventory.read_text() == text
    seen = await status(operator)
    assert (seen["serving"], seen["ratio"]) == (True, "2P3D")
    assert launches(seen) == before


def ended(action: str) -> Callable[[Json], bool]:
    return lambda line: line["event"] == "step_done" and line["action"] == action


def begun(action: str) -> Callable[[Json], bool]:
    return lambda line: line["event"] == "step_started" and line["action"] == action


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "ratio"),
    [
        pytest.param(begun("drain"), "2P3D", id="drain"),
        pytest.param(ended("fence"), "2P3D", id="fence"),
        pytest.param(ended("write the inventory"), "1P4D", id="commit"),
        pytest.param(begun("stop"), "1P4D", id="stop"),
        pytest.param(ended("start"), "1P4D", id="start"),
        pytest.param(ended("canary"), "1P4D", id="canary"),
    ],
)
async def test_the_controller_is_killed_under_load_and_up_brings_about_what_the_inventory_says(
    serving: Site, moment: Callable[[Json], bool], ratio: str
) -> None:
    operator = serving.operator
    over = asyncio.Event()
    load = asyncio.create_task(load_until(serving.router_url, over.is_set))
    try:
        async with operator.starts("move", "n2", "--to", "decode", "--json") as running:
            await running.until(moment, "that moment")
            running.send(signal.SIGKILL)
            await running.end()
        await asyncio.sleep(1.0)  # what runs on the nodes goes on
        up = (await operator.pdctl("up", "--json")).expect(0)
        seen = await status(operator)
        assert (seen["serving"], seen["ratio"]) == (True, ratio), up.show
        (await operator.pdctl("move", "n2", "--to", "prefill", "--json")).expect(0)
    finally:
        over.set()
        report = await load
    assert report.counts.failed == 0, report.failures
    assert (await status(operator))["ratio"] == "2P3D"


async def test_a_dry_run_tells_steps_times_and_the_dip_and_changes_nothing(serving: Site) -> None:
    done = (await serving.operator.pdctl("move", "n2", "--to", "decode", "--dry-run", "--json")).expect(0)
    proposal = done.document
    assert [step["action"] for step in proposal["steps"]][:3] == ["fence", "drain", "write the inventory"]
    assert [step["no_return"] for step in proposal["steps"]][:4] == [False, False, True, False]
    dips = {dip["pool"]: (dip["before"], dip["least"], dip["after"]) for dip in proposal["capacity"]}
    assert dips == {"prefill": (2, 1, 1), "decode": (3, 3, 4)}
    assert proposal["command"] == ["pdctl", "move", "n2", "--to", "decode"]
    assert (await status(serving.operator))["ratio"] == "2P3D"


async def test_a_dry_restart_of_a_pool_goes_in_turns_and_changes_nothing(serving: Site) -> None:
    done = (await serving.operator.pdctl("restart", "@decode", "--rolling", "--dry-run", "--json")).expect(0)
    dips = {dip["pool"]: (dip["before"], dip["least"], dip["after"]) for dip in done.document["capacity"]}
    assert dips == {"decode": (3, 2, 3)}
    assert done.document["command"] == ["pdctl", "restart", "@decode"]


@pytest.mark.slow
@pytest.mark.timeout(330)  # a minute on a quiet machine
@pytest.mark.parametrize("mode", ["read", "write"])
async def test_six_moves_under_streaming_load_lose_nothing(tmp_path: Path, mode: str) -> None:
    argv = ("demo", "--headless", "--json", "--moves", "6", "--mode", mode)
    summary = (await Operator(tmp_path).pdctl(*argv, deadline_s=300.0)).expect(0).document
    expected = {"moves": 6, "failed": 0, "aborted": 0, "cut": 0, "moves_cut": 0, "moves_trouble": "", "leftovers": 0}
    assert {name: summary[name] for name in expected} == expected
    assert summary["ok"] == summary["requests"] > 100
    assert summary["in_flight_at_fence"] > 0, "requests were in hand when their engine left the router"
