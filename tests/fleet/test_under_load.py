"""Changes while clients stream: nobody's answer is lost."""

from __future__ import annotations

import asyncio

import pytest

from tests.fleet.requests import completion, load_until
from tests.fleet.site import Site, launches, status

pytestmark = pytest.mark.fleet


RESTARTED = ("n1.main.0", "n3.main.0")


async def test_a_restart_of_a_prefill_and_a_decode_fails_no_request(serving: Site) -> None:
    before = launches(await status(serving.operator))
    restarted = asyncio.Event()
    load = asyncio.create_task(load_until(serving.router_url, restarted.is_set))
    try:
        done = await serving.operator.pdctl("restart", *RESTARTED, "--json")
    finally:
        restarted.set()
        report = await load
    done.expect(0)
    assert report.counts.failed == 0, report.failures
    assert report.counts.ok > 10
    drains = [event for event in done.events("step_done") if event["action"] == "drain"]
    assert [event["detail"]["cut"] for event in drains] == [0, 0]
    after = launches(await status(serving.operator))
    assert {name for name in after if after[name] != before[name]} == set(RESTARTED)
    assert all(after[name][1] > before[name][1] for name in RESTARTED)


IN_FLIGHT = 4


async def test_down_lets_answers_in_flight_end_whole_and_refuses_new_requests(serving: Site) -> None:
    down = asyncio.Event()
    load = asyncio.create_task(load_until(serving.router_url, down.is_set, osl=600, concurrency=IN_FLIGHT))
    try:
        async with serving.operator.starts("down", "--json") as running:
            for _ in range(5):
                await running.until(lambda line: line["event"] == "step_done" and line["action"] == "fence", "a fence")
            refused = await completion(serving.router_url)
            done = await running.end()
    finally:
        down.set()
        report = await load
    done.expect(0)
    assert refused.status in (0, 503), refused
    drains = [event["detail"] for event in done.events("step_done") if event["action"] == "drain"]
    assert sum(detail["in_flight_at_fence"] for detail in drains) > 0, "requests were in flight"
    assert [detail["cut"] for detail in drains] == [0] * 5
    assert report.counts.ok >= IN_FLIGHT
    assert report.counts.failed == report.counts.refused, report.failures
