"""What goes wrong with a whole cluster under docker, and what is left on its hosts when it is taken down."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.lab.docker_rig import docker_lab
from tests.lab.inventory_for import Wanted
from tests.lab.lab import Lab
from tests.lab.operators import Operator, operator_of
from tests.lab.traces import files_left, stays

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

SLOTS = {
    "h1": {"a": {"gpus": "0-1", "pool": "prefill"}, "b": {"gpus": "2-3", "pool": "decode"}},
    "h2": {"a": {"gpus": "0-1", "pool": "decode"}},
}
ENGINES = {f"{host}.{slot}.0" for host, slots in SLOTS.items() for slot in slots}
SERVING = {**dict.fromkeys(ENGINES, "serving"), "router": "running", "registrar": "running"}
LOADING_S = 25.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    async with docker_lab(hosts=2) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def patient(lab: Lab, tmp_path: Path) -> AsyncIterator[Operator]:
    """On hosts where nothing of ours runs, before and after; engines load for long."""
    nodes = {name: {"slots": slots} for name, slots in SLOTS.items()}
    wanted = Wanted(prefill=0, decode=0, supervisor="docker", nodes=nodes, startup_s=LOADING_S)
    found = operator_of(lab, tmp_path, wanted, edit=lambda text: text.replace('"tp": 8', '"tp": 2'))
    yield found
    await found.succeeds("down", "--now")


async def test_controller_killed_during_a_long_load_and_up_run_again_from_another_machine(
    lab: Lab, patient: Operator
) -> None:
    """The engines load on, serve nobody, and are adopted; none is started a second time. `down` leaves what stays."""
    async with patient.starts("up") as first:
        for name in ENGINES:
            await first.has_said("step_done", action="start", subject=name)
        done = first.so_far().events("step_done")
        first.process.kill()
    assert not [line for line in done if line["action"] == "await_ready"], "all of them load still"
    elsewhere = patient.elsewhere()
    loading = {name: view for name, view in (await elsewhere.status()).items() if name in ENGINES}
    assert {view["state"] for view in loading.values()} == {"loading"}
    launched = {name: view["pid"] for name, view in loading.items()}
    assert 200 not in await elsewhere.load(10)

    again = await elsewhere.succeeds("up")
    assert ENGINES.isdisjoint(line["subject"] for line in again.events("step_done") if line["action"] == "start")
    seen = await elsewhere.status()
    assert {name: view["state"] for name, view in seen.items()} == SERVING
    assert {name: seen[name]["pid"] for name in ENGINES} == launched
    assert set(await elsewhere.load()) == {200}

    await elsewhere.succeeds("down")
    for host in lab.hosts.values():
        left = {name for name in await files_left(host) if "/logs/" not in name}
        assert left == stays("lab", leases=host.name == "h1")
