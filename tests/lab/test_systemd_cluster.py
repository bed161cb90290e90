"""2P3D with simulated engines in system units on five hosts: systemctl and pdctl agree at every stage."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.lab.controller import Said, pdctl, running
from tests.lab.host import LabHost
from tests.lab.inventory_for import Wanted, inventory_for
from tests.lab.lab import Lab
from tests.lab.nspawn import Systemd

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

CLUSTER = "lab"
ROOT = "/var/lib/pdctl"
REQUESTS = 40
ENGINES = {f"pdctl.{CLUSTER}.h{number}.main.0" for number in range(1, 6)}
SERVICES = {f"pdctl.{CLUSTER}.router", f"pdctl.{CLUSTER}.registrar"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    async with Lab(5, Systemd()) as made:
        yield made


@pytest.fixture
def inventory(lab: Lab, tmp_path: Path) -> Path:
    path = tmp_path / "inventory.yaml"
    path.write_text(inventory_for(lab, Wanted(prefill=2, decode=3, cluster=CLUSTER, supervisor="systemd")))
    return path


async def units(host: LabHost, *options: str) -> set[str]:
    """Names of pdctl's units on a host, as systemctl lists them."""
    listed = await host.run("systemctl", "list-units", "--plain", "--no-legend", *options, "pdctl.*")
    return {line.split()[0].removesuffix(".service") for line in listed.splitlines()}


async def on_all(lab: Lab, *options: str) -> set[str]:
    return set().union(*[await units(host, *options) for host in lab.hosts.values()])


async def status(tmp_path: Path, inventory: Path) -> dict[str, str]:
    """Unit -> state, as `pdctl status` says."""
    said = await pdctl(tmp_path, inventory, "status")
    document = json.loads(said.stdout)
    views = [*document["instances"], *document["services"]]
    return {f"pdctl.{CLUSTER}.{view['name']}": view["state"] for view in views}


def ended(said: Said) -> str:
    return f"status {said.status}\n{said.stdout[-3000:]}\n{said.stderr[-2000:]}"


async def load(lab: Lab) -> list[int]:
    """HTTP statuses of so many completions through the router."""
    body = {"model": "lab/simulated-moe", "prompt": "a b c d", "max_tokens": 8}
    url = f"http://{lab.hosts['h1'].address}:30000/v1/completions"
    async with httpx.AsyncClient(timeout=30.0, trust_env=False) as client:
        answers = await asyncio.gather(*(client.post(url, json=body) for _ in range(REQUESTS)))
    return [answer.status_code for answer in answers]


async def traces(host: LabHost) -> dict[str, str]:
    """What is left of us on a host."""
    shell = "/bin/sh"
    return {
        "units": " ".join(await units(host, "--all")),
        "processes": await host.run(shell, "-c", "grep -lsz ^PDCTL_UNIT= /proc/[0-9]*/environ || true"),
        "ports": await host.run(shell, "-c", "ss -Hltn 'sport >= 20000 and sport <= 32767'"),
        "files": await host.run(shell, "-c", f"find {ROOT} -type f -printf '%P\\n'"),
    }


async def test_up_load_and_down_of_2p3d_under_systemd(lab: Lab, inventory: Path, tmp_path: Path) -> None:
    up = await pdctl(tmp_path, inventory, "up")
    assert up.status == 0, ended(up)
    assert await on_all(lab, "--state=active") == ENGINES | SERVICES
    assert await status(tmp_path, inventory) == {
        **dict.fromkeys(ENGINES, "serving"),
        **dict.fromkeys(SERVICES, "running"),
    }
    assert await load(lab) == [200] * REQUESTS

    again = await pdctl(tmp_path, inventory, "up")
    assert again.status == 0, ended(again)
    assert not again.events("step_done")

    victim = f"pdctl.{CLUSTER}.h5.main.0"
    await lab.hosts["h5"].run("systemctl", "kill", "--signal=KILL", "--kill-who=main", victim)
    assert (await status(tmp_path, inventory))[victim] == "failed"
    assert await on_all(lab, "--state=active") == (ENGINES | SERVICES) - {victim}
    mended = await pdctl(tmp_path, inventory, "up")
    assert mended.status == 0, ended(mended)
    assert await on_all(lab, "--state=active") == ENGINES | SERVICES
    assert await load(lab) == [200] * REQUESTS

    down = await pdctl(tmp_path, inventory, "down")
    assert down.status == 0, ended(down)
    assert set((await status(tmp_path, inventory)).values()) == {"down"}
    for host in lab.hosts.values():
        left = await traces(host)
        files = left.pop("files").split()
        assert left == dict.fromkeys(left, ""), left
        # Left are the ledger, and what the lease node knows of the cluster; logs are in the journal.
        assert [name for name in files if name.count("/") > 1] == []


async def test_controller_killed_right_after_a_start_was_sent(lab: Lab, inventory: Path, tmp_path: Path) -> None:
    """The engines that it started serve nobody; a rerun from another machine adopts or replaces them."""
    async with running(tmp_path, inventory, "up") as first:
        await first.has_said("step_started", action="start")
        first.process.kill()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    up = await pdctl(elsewhere, inventory, "up")
    try:
        assert up.status == 0, ended(up)
        assert await on_all(lab, "--state=active") == ENGINES | SERVICES
        assert await load(lab) == [200] * REQUESTS
    finally:
        down = await pdctl(elsewhere, inventory, "down")
    assert down.status == 0, ended(down)
    assert await on_all(lab, "--all") == set()
