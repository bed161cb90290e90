"""What died is named with its cause, and only that is brought back."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from tests.fleet.command import Json, Operator
from tests.fleet.requests import completion, load_until
from tests.fleet.site import Site, alive, changes, launches, of, status
from tests.waiting import wait_until

pytestmark = pytest.mark.fleet

LOOK_EVERY_S = 0.3
"""A status starts a program on every node: looks without a pause would be a load of their own."""


async def seen_as(operator: Operator, name: str, state: str, deadline_s: float = 15.0) -> Json:
    """The status once `name` is in `state`."""
    found: list[Json] = []

    async def there() -> bool:
        found.append(await status(operator))
        return bool(of(found[-1], name)["state"] == state)

    await wait_until(there, deadline_s, what=f"{name} is {state}", poll_s=LOOK_EVERY_S)
    return found[-1]


async def test_a_killed_engine_is_named_with_its_cause_and_only_it_is_started_again(serving: Site) -> None:
    operator = serving.operator
    before = await status(operator)
    os.kill(of(before, "n4.main.0")["pid"], signal.SIGKILL)
    seen = of(await seen_as(operator, "n4.main.0", "failed"), "n4.main.0")
    assert "killed by SIGKILL" in seen["why"]
    log = (serving.unit_dir("n4", "n4.main.0") / "log").read_text()
    assert seen["last_lines"] and all(line in log for line in seen["last_lines"]), "the last log lines"
    text, plan = await asyncio.gather(operator.pdctl("status"), operator.pdctl("plan", "--detailed-exitcode", "--json"))
    assert "n4.main.0" in text.expect(0).out and "killed by SIGKILL" in text.out
    assert changes(plan.expect(2).document) == {"n4.main.0": "start"}
    assert "killed by SIGKILL" in plan.document["changes"][0]["reason"]

    async def served() -> bool:
        return (await completion(serving.router_url)).ok

    await wait_until(served, 15.0, what="the router has forgotten the dead one", poll_s=0.1)
    repaired = (await operator.pdctl("up", "--json")).expect(0)
    assert {event["subject"] for event in repaired.events("step_started")} == {"n4.main.0", "cluster"}
    old, new = launches(before), launches(await status(operator))
    assert {name for name in new if new[name] != old[name]} == {"n4.main.0"}
    assert new["n4.main.0"][1] > old["n4.main.0"][1], "a new generation"
    assert new["n4.main.0"][2] != old["n4.main.0"][2], "with ports of its own"


async def test_a_killed_router_comes_back_by_itself_and_no_fenced_member_with_it(serving: Site) -> None:
    operator = serving.operator
    (await operator.pdctl("down", "n5.main.0", "--json")).expect(0)
    before = await status(operator)
    router = of(before, "router")
    os.kill(router["pid"], signal.SIGKILL)
    await wait_until(lambda: not alive(router["pid"]), 5.0, what="the router is dead")

    async def answers() -> bool:
        return (await completion(serving.router_url)).ok

    await wait_until(answers, 40.0, what="the router serves again", poll_s=0.2)
    sent = 0

    def enough() -> bool:
        nonlocal sent
        sent += 1
        return sent > 40

    report = await load_until(serving.router_url, enough, osl=4)
    assert (report.counts.ok, report.counts.failed) == (40, 0), report.failures
    after = await status(operator)
    assert (after["serving"], after["ratio"], of(after, "n5.main.0")["state"]) == (True, "2P 2/3D", "down")
    assert of(after, "router")["restarts"] == router["restarts"] + 1
    engines = {name: launch for name, launch in launches(before).items() if name != "router"}
    assert {name: launch for name, launch in launches(after).items() if name != "router"} == engines


@pytest.mark.slow
async def test_a_killed_registrar_comes_back_by_itself_and_no_member_is_lost(serving: Site) -> None:
    operator = serving.operator
    before = await status(operator)
    registrar = of(before, "registrar")
    restarted = asyncio.Event()
    load = asyncio.create_task(load_until(serving.router_url, restarted.is_set, concurrency=2))
    try:
        os.kill(registrar["pid"], signal.SIGKILL)

        async def back() -> bool:
            seen = await status(operator)
            return bool(of(seen, "registrar")["restarts"] > registrar["restarts"] and seen["serving"])

        await wait_until(back, 20.0, what="the registrar runs again", poll_s=LOOK_EVERY_S)
    finally:
        restarted.set()
        report = await load
    assert (report.counts.failed, report.counts.ok > 0) == (0, True), report.failures
    after = await status(operator)
    assert (after["ratio"], {view["state"] for view in after["instances"]}) == ("2P3D", {"serving"})
