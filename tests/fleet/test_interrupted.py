"""An `up` whose controller goes while engines load, and a second operator who comes meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.fleet.command import PDCTL, Json, Operator, Running
from tests.fleet.requests import completion
from tests.fleet.site import Site, alive, launches, simulated_nodes, status

pytestmark = pytest.mark.fleet

LOADING_S = "3"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with simulated_nodes(tmp_path_factory.mktemp("slow"), "--layout", "1P1D", "--startup-s", LOADING_S) as site:
        yield site


@pytest.fixture
async def operator(site: Site) -> AsyncIterator[Operator]:
    """On nodes where nothing runs."""
    yield site.operator
    (await site.operator.pdctl("down", "--now", "--json")).expect(0)


async def both_started(up: Running) -> dict[str, Json]:
    """The details of both starts; the engines load now."""
    details: dict[str, Json] = {}
    while len(details) < 2:
        line = await up.until(lambda line: line["event"] == "step_done" and line["action"] == "start", "a start")
        details[line["subject"]] = line["detail"]
    return details


def pid_and_generation(details: dict[str, Json]) -> dict[str, tuple[int, int]]:
    return {name: (detail["pids"][0], detail["generation"]) for name, detail in details.items()}


def of_instances(seen: Json) -> dict[str, tuple[int, int]]:
    return {view["name"]: (view["pid"], view["generation"]) for view in seen["instances"]}


async def test_up_adopts_engines_that_still_load_after_their_controller_was_killed(operator: Operator) -> None:
    async with operator.starts("up", "--json") as first:
        launched = pid_and_generation(await both_started(first))
        first.send(signal.SIGKILL)
        assert (await first.end()).code == -signal.SIGKILL
    loading = await status(operator)
    assert {view["state"] for view in loading["instances"]} <= {"loading", "unregistered"}
    again = (await operator.pdctl("up", "--json")).expect(0)
    restarted = {event["subject"] for event in again.events("step_started") if event["action"] == "start"}
    assert restarted == set(), "nothing is started a second time"
    seen = await status(operator)
    assert (seen["serving"], seen["ratio"]) == (True, "1P1D")
    assert of_instances(seen) == launched
    assert (await completion(seen["router_url"])).ok
    events = await operator.pdctl("events")
    assert "unfinished: " in events.expect(0).out, "the journal shows where the first run ended"


async def test_ctrl_c_while_engines_load_says_how_to_go_on_and_a_rerun_does(operator: Operator) -> None:
    async with operator.starts("up", "--json") as first:
        launched = pid_and_generation(await both_started(first))
        first.send(signal.SIGINT)
        ended = (await first.end()).expect(130).events("run_ended")[0]
    assert ended["exit_code"] == 130
    assert "run `pdctl up` again" in ended["text"]
    assert all(alive(pid) for pid, _ in launched.values()), "what was started is left to the next run"
    (await operator.pdctl("up", "--json")).expect(0)
    seen = await status(operator)
    assert (seen["serving"], of_instances(seen)) == (True, launched)


HEAD = '{ "$0" up --json; echo $? >"$1"; } | head -n 16 >/dev/null'


async def test_up_into_a_pipe_whose_reader_goes_away_stops_in_order_and_a_rerun_goes_on(
    operator: Operator, tmp_path: Path
) -> None:
    code = tmp_path / "code"
    shell = await asyncio.create_subprocess_exec("/bin/sh", "-c", HEAD, PDCTL, code, env=operator.environment())
    assert await shell.wait() == 0
    assert code.read_text() == "130\n", "not 0: the cluster is not up"
    (await operator.pdctl("up", "--json")).expect(0)
    assert (await status(operator))["serving"]


async def test_a_second_operator_is_told_who_holds_the_cluster_and_may_still_look(
    operator: Operator, tmp_path: Path
) -> None:
    colleague = Operator(tmp_path, operator.inventory)
    async with operator.starts("up", "--json") as first:
        pid = (await both_started(first))["n1.main.0"]["pids"][0]
        os.kill(pid, signal.SIGSTOP)  # it loads for as long as the colleague needs
        second, machine, seen, plan, logs = await asyncio.gather(
            colleague.pdctl("up"),
            colleague.pdctl("down", "--json"),
            colleague.pdctl("status", "--json"),
            colleague.pdctl("plan", "--json"),
            colleague.pdctl("logs", "n1.main.0"),
        )
        os.kill(pid, signal.SIGCONT)
        done = await first.end()
    assert f"(pid {first.pid}) is running `pdctl up`" in second.expect(75).err
    assert "hint: " in second.err
    assert str(first.pid) in machine.expect(75).document["cause"]
    assert len(seen.expect(0).document["instances"]) == 2
    plan.expect(0)
    logs.expect(0)
    done.expect(0)
    launched = launches(await status(operator))
    (await colleague.pdctl("up", "--json")).expect(0)
    assert launches(await status(operator)) == launched, "afterwards their `up` finds nothing to do"
