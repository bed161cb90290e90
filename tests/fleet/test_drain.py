"""Drain and undrain while clients ask: nobody's answer is lost, and what is held stays out."""

from __future__ import annotations

import asyncio
import signal

import pytest

from tests.fleet.requests import load_until
from tests.fleet.site import Site, launches, of, status

pytestmark = pytest.mark.fleet

NAME = "n4.main.0"


async def test_a_drain_under_load_loses_nothing_and_undrain_brings_it_back(serving: Site) -> None:
    before = launches(await status(serving.operator))
    over = asyncio.Event()
    load = asyncio.create_task(load_until(serving.router_url, over.is_set, osl=200))
    try:
        drained = (await serving.operator.pdctl("drain", "n4", "--reason", "new fans", "--json")).expect(0)
        seen = await status(serving.operator)
        left_alone = (await serving.operator.pdctl("up", "--json")).expect(0)
        back = (await serving.operator.pdctl("undrain", "n4", "--json")).expect(0)
    finally:
        over.set()
        report = await load
    assert report.counts.failed == 0, report.failures
    assert report.counts.ok > 10
    (detail,) = [event["detail"] for event in drained.events("step_done") if event["action"] == "drain"]
    assert (detail["drained"], detail["cut"]) == (True, 0)
    assert of(seen, NAME)["state"] == "drained"
    assert "new fans" in of(seen, NAME)["held"]
    assert left_alone.events("step_started") == []
    assert [event["slot"] for event in left_alone.events("slot_held")] == ["n4.main"]
    assert "register" in [event["action"] for event in back.events("step_done")]
    after = await status(serving.operator)
    assert (after["ratio"], after["holds"], launches(after)) == ("2P3D", [], before), "nothing was relaunched"


async def test_a_dry_run_shows_the_steps_and_changes_nothing(serving: Site) -> None:
    told = (await serving.operator.pdctl("drain", "n4", "--for", "2h", "--dry-run", "--json")).expect(0).document
    assert [step["id"] for step in told["steps"]] == ["hold:n4.main", f"fence:{NAME}", f"drain:{NAME}"]
    assert told["steps"][1]["expected"]["low_s"] > 0
    (dip,) = told["capacity"]
    assert (dip["pool"], dip["before"], dip["least"], dip["after"]) == ("decode", 3, 2, 2)
    assert told["command"] == ["pdctl", "drain", "n4", "--for", "7200s"]
    assert (await status(serving.operator))["holds"] == []


@pytest.mark.slow
async def test_a_drain_that_is_interrupted_is_taken_back(serving: Site) -> None:
    over = asyncio.Event()
    load = asyncio.create_task(load_until(serving.router_url, over.is_set, osl=200))
    try:
        async with serving.operator.starts("drain", "n4", "--json") as running:
            await running.until(lambda line: line["event"] == "step_started" and line["action"] == "fence", "a fence")
            running.send(signal.SIGINT)
            ended = await running.end()
    finally:
        over.set()
        report = await load
    ended.expect(130)
    assert report.counts.failed == 0, report.failures
    assert "taken back" in ended.events("run_ended")[0]["text"]
    after = await status(serving.operator)
    assert (after["ratio"], after["holds"]) == ("2P3D", [])
