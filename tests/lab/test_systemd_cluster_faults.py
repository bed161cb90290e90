"""What goes wrong with a whole cluster under systemd, each test named after it: what it says, and how it converges."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.lab.controller import Said
from tests.lab.inventory_for import Wanted
from tests.lab.lab import Lab
from tests.lab.nspawn import Systemd
from tests.lab.operators import Operator, operator_of
from tests.lab.systemd_rig import cluster_of
from tests.waiting import wait_until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

ENGINES = {"h1.main.0", "h2.main.0", "h3.main.0"}
SERVING = {**dict.fromkeys(ENGINES, "serving"), "router": "running", "registrar": "running"}
LOADING_S = 10.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    async with Lab(3, Systemd()) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def operator(lab: Lab, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Operator]:
    """Of a cluster of the test's own, of which nothing runs before and after."""
    wanted = Wanted(decode=2, cluster=cluster_of(request.node.name), supervisor="systemd")
    found = operator_of(lab, tmp_path, wanted)
    yield found
    await found.succeeds("down", "--now")


@pytest_asyncio.fixture(loop_scope="module")
async def patient(lab: Lab, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Operator]:
    """As `operator`, with engines that load for long."""
    cluster = cluster_of(request.node.name)
    wanted = Wanted(decode=2, cluster=cluster, supervisor="systemd", startup_s=LOADING_S)
    found = operator_of(lab, tmp_path, wanted)
    yield found
    await found.succeeds("down", "--now")


async def all_started(operator: Operator) -> dict[str, int]:
    """Run an `up` until every engine was started, then kill it; the pid of each engine, which loads now."""
    async with operator.starts("up") as first:
        for name in ENGINES:
            await first.has_said("step_done", action="start", subject=name)
        done = first.so_far().events("step_done")
        first.process.kill()
    assert not [line for line in done if line["action"] == "await_ready"], "all of them load still"
    starts = [line for line in done if line["action"] == "start" and line["subject"] in ENGINES]
    return {line["subject"]: line["detail"]["pids"][0] for line in starts}


def started(said: Said) -> set[str]:
    """What a command has started."""
    return {line["subject"] for line in said.events("step_started") if line["action"] == "start"}


def pids(seen: dict[str, dict[str, Any]]) -> dict[str, int]:
    return {name: seen[name]["pid"] for name in ENGINES}


async def test_controller_killed_during_a_long_load_and_up_run_again_from_another_machine(patient: Operator) -> None:
    """It adopts the engines that load, and starts none a second time."""
    launched = await all_started(patient)
    elsewhere = patient.elsewhere()
    assert {state for name, state in (await elsewhere.states()).items() if name in ENGINES} == {"loading"}
    again = await elsewhere.succeeds("up")
    assert [
        line for line in again.events("step_started") if line["subject"] in launched and line["action"] == "start"
    ] == []
    seen = await elsewhere.status()
    assert {name: view["state"] for name, view in seen.items()} == SERVING
    assert pids(seen) == launched
    assert set(await elsewhere.load()) == {200}


async def test_engines_that_nobody_registered_get_no_traffic(patient: Operator) -> None:
    """Their controller was killed while they loaded. They come up, and serve nobody until a later run has seen them."""
    launched = await all_started(patient)
    endpoints = {name: view["endpoint"] for name, view in (await patient.status()).items() if name in ENGINES}
    async with httpx.AsyncClient(timeout=2.0, trust_env=False) as client:
        for endpoint in endpoints.values():
            await wait_until(partial(answers, client, endpoint), LOADING_S + 20, what=f"{endpoint} is up")
    statuses = await patient.load()
    assert 200 not in statuses, statuses
    assert [await patient.served_by(endpoint) for endpoint in endpoints.values()] == [0.0] * len(ENGINES)
    assert {state for name, state in (await patient.states()).items() if name in ENGINES} == {"unregistered"}
    elsewhere = patient.elsewhere()
    await elsewhere.succeeds("up")
    assert pids(await elsewhere.status()) == launched
    assert set(await elsewhere.load()) == {200}
    assert sum([await elsewhere.served_by(endpoint) for endpoint in endpoints.values()]) > 0


async def answers(client: httpx.AsyncClient, endpoint: str) -> bool:
    try:
        return (await client.get(f"http://{endpoint}/health")).status_code == 200
    except httpx.TransportError:
        return False


async def ports(operator: Operator, names: Iterable[str]) -> dict[str, set[int]]:
    """Every port that was given to the present launch of each engine, HTTP, hand-off and peers' alike."""
    found = {}
    for name in names:
        host = operator.lab.hosts[name.partition(".")[0]]
        found[name] = set((await operator.record(host, name))["ports"])
        assert len(found[name]) > 1, found
    return found


async def test_reset_failed_never_leads_to_a_reused_port(operator: Operator) -> None:
    victim, host = "h2.main.0", operator.lab.hosts["h2"]
    await operator.succeeds("up")
    used = (await ports(operator, [victim]))[victim]
    for _ in range(2):
        await host.run("systemctl", "kill", "--signal=KILL", operator.unit(victim))
        await wait_until(lambda: is_in(operator, victim, "failed"), 20, what=f"{victim} has failed", poll_s=0.2)
        await host.run("systemctl", "reset-failed")
        seen = (await operator.status())[victim]
        assert (seen["state"], "killed by SIGKILL" in seen["why"]) == ("failed", True), seen
        await operator.succeeds("up")
        fresh = (await ports(operator, [victim]))[victim]
        assert fresh & used == set()
        used |= fresh
    assert await operator.states() == SERVING
    assert set(await operator.load()) == {200}


async def is_in(operator: Operator, name: str, state: str) -> bool:
    return (await operator.states())[name] == state


async def test_a_reboot_of_every_node_never_leads_to_a_reused_port(operator: Operator) -> None:
    """One of them in order, one by a power cut; the router's own too."""
    await operator.succeeds("up")
    used = await ports(operator, ENGINES)
    h1, h2, h3 = operator.lab.hosts.values()
    await asyncio.gather(h1.reboot(), h2.reboot(), h3.power_off())
    await h3.power_on()
    seen = await operator.status()
    assert {view["state"] for view in seen.values()} == {"failed"}
    assert all(seen[name]["why"].startswith("gone with a reboot") for name in ENGINES), seen
    await operator.succeeds("up")
    fresh = await ports(operator, ENGINES)
    assert not [name for name in ENGINES if fresh[name] & used[name]], (fresh, used)
    assert await operator.states() == SERVING
    assert set(await operator.load()) == {200}


async def test_a_node_reboots_while_its_engine_loads(patient: Operator) -> None:
    """The run says that it went with a reboot, and the others serve; the next run starts a new launch there."""
    host = patient.lab.hosts["h3"]
    async with patient.starts("up") as up:
        await up.has_said("step_done", action="start", subject="h3.main.0")
        used = (await ports(patient, ["h3.main.0"]))["h3.main.0"]
        await host.reboot()
        said = await up.end()
    assert said.status == 3, said
    failed = [line for line in said.events("step_failed") if line["subject"] == "h3.main.0"]
    assert len(failed) == 1 and "reboot" in failed[0]["cause"], failed
    seen = await patient.states()
    assert {name: seen[name] for name in ENGINES} == {**dict.fromkeys(ENGINES, "serving"), "h3.main.0": "failed"}
    assert set(await patient.load()) == {200}
    again = await patient.succeeds("up")
    assert started(again) == {"h3.main.0"}
    assert (await ports(patient, ["h3.main.0"]))["h3.main.0"] & used == set()
    assert await patient.states() == SERVING


STUBBORN = {"PDCTL_SIM_FAULTS": "ignore_sigterm", "PDCTL_SIM_WORKERS": "2", "PDCTL_SIM_WORKER_STUBBORN": "1"}


async def test_engines_that_ignore_sigterm_are_gone_within_the_budget_and_reported_as_forced(
    lab: Lab, tmp_path: Path
) -> None:
    """Their workers, in sessions of their own, ignore it too."""
    budgets = {"settle": "1s", "shutdown": "2s", "stop": "4s"}
    wanted = Wanted(decode=2, cluster="stubborn", supervisor="systemd", env=STUBBORN, budgets=budgets)
    operator = operator_of(lab, tmp_path, wanted)
    await operator.succeeds("up")
    marks = "grep -lsz '^PDCTL_UNIT=pdctl.stubborn.*main' /proc/[0-9]*/environ || true"
    ours = [len((await host.run("/bin/sh", "-c", marks)).split()) for host in lab.hosts.values()]
    assert min(ours) >= 3, "the engine and its workers"
    down = await operator.succeeds("down")
    stops = {line["subject"]: line for line in down.events("step_done") if line["action"] == "stop"}
    assert {name: line["detail"]["forced"] for name, line in stops.items()} == dict.fromkeys(ENGINES, True)
    assert all(4.0 <= line["took_s"] < 10.0 for line in stops.values()), stops
    assert [await host.run("/bin/sh", "-c", marks) for host in lab.hosts.values()] == [""] * 3
