"""2P3D with simulated engines in containers on two hosts: up, load, down; docker and pdctl agree at every stage."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.lab.controller import Said, pdctl
from tests.lab.docker_image import IMAGE
from tests.lab.docker_rig import ROOT, docker_lab
from tests.lab.host import LabHost
from tests.lab.inventory_for import Wanted, inventory_for
from tests.lab.lab import Lab

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

CLUSTER = "lab"
REQUESTS = 40
SLOTS = {
    "h1": {
        "a": {"gpus": "0-1", "pool": "prefill"},
        "b": {"gpus": "2-3", "pool": "decode"},
        "c": {"gpus": "4-5", "pool": "decode"},
    },
    "h2": {"a": {"gpus": "0-1", "pool": "prefill"}, "b": {"gpus": "2-3", "pool": "decode"}},
}
ENGINES = {f"pdctl.{CLUSTER}.{host}.{slot}.0" for host, slots in SLOTS.items() for slot in slots}
SERVICES = {f"pdctl.{CLUSTER}.router", f"pdctl.{CLUSTER}.registrar"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    async with docker_lab(hosts=2) as made:
        yield made


@pytest.fixture
def inventory(lab: Lab, tmp_path: Path) -> Path:
    nodes = {name: {"slots": slots} for name, slots in SLOTS.items()}
    wanted = Wanted(prefill=0, decode=0, cluster=CLUSTER, supervisor="docker", nodes=nodes)
    path = tmp_path / "inventory.yaml"
    path.write_text(inventory_for(lab, wanted).replace('"tp": 8', '"tp": 2'))
    return path


async def containers(host: LabHost, *options: str) -> set[str]:
    return set((await host.run("docker", "ps", "--format", "{{.Names}}", *options)).split())


async def on_all(lab: Lab, *options: str) -> set[str]:
    return set().union(*[await containers(host, *options) for host in lab.hosts.values()])


async def image_id(host: LabHost) -> str:
    """Of the lab's image on that host, in hex."""
    return (await host.run("docker", "images", "--quiet", "--no-trunc", IMAGE)).strip().removeprefix("sha256:")


async def alerts(tmp_path: Path, inventory: Path) -> list[str]:
    """What `pdctl status` points out."""
    found: list[str] = json.loads((await pdctl(tmp_path, inventory, "status")).stdout)["alerts"]
    return found


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
        "containers": await host.run("docker", "ps", "--all", "--quiet"),
        "volumes": await host.run("docker", "volume", "ls", "--quiet"),
        "processes": await host.run(shell, "-c", "grep -lsz ^PDCTL_UNIT= /proc/[0-9]*/environ || true"),
        "ports": await host.run(shell, "-c", "ss -Hltn 'sport >= 20000 and sport <= 32767'"),
        "files": await host.run(shell, "-c", f"find {ROOT} -type f -printf '%P\\n'"),
    }


async def test_up_load_and_down_of_2p3d_under_docker(lab: Lab, inventory: Path, tmp_path: Path) -> None:
    up = await pdctl(tmp_path, inventory, "up")
    assert up.status == 0, ended(up)
    assert await on_all(lab) == ENGINES | SERVICES
    assert await on_all(lab, "--filter", f"label=pdctl.cluster={CLUSTER}") == ENGINES | SERVICES
    assert await status(tmp_path, inventory) == {
        **dict.fromkeys(ENGINES, "serving"),
        **dict.fromkeys(SERVICES, "running"),
    }
    assert await load(lab) == [200] * REQUESTS

    again = await pdctl(tmp_path, inventory, "up")
    assert again.status == 0, ended(again)
    assert not again.events("step_done")

    # Each host imported the image for itself, so that the same name stands for two builds.
    (alert,) = await alerts(tmp_path, inventory)
    builds = {name: await image_id(host) for name, host in lab.hosts.items()}
    assert alert.startswith("engines run different builds of their image: ")
    assert all(f"{image[:12]} on {name}" in alert for name, image in builds.items())

    victim = f"pdctl.{CLUSTER}.h2.b.0"
    await lab.hosts["h2"].run("docker", "kill", victim)
    seen = await status(tmp_path, inventory)
    assert seen[victim] == "failed"
    assert await on_all(lab) == (ENGINES | SERVICES) - {victim}
    mended = await pdctl(tmp_path, inventory, "up")
    assert mended.status == 0, ended(mended)
    assert await on_all(lab) == ENGINES | SERVICES
    assert await load(lab) == [200] * REQUESTS

    down = await pdctl(tmp_path, inventory, "down")
    assert down.status == 0, ended(down)
    assert set((await status(tmp_path, inventory)).values()) == {"down"}
    for host in lab.hosts.values():
        left = await traces(host)
        files = left.pop("files").split()
        assert left == dict.fromkeys(left, ""), left
        # Left are logs, the ledger, and what the lease node knows of the cluster.
        assert [name for name in files if name.count("/") > 1 and not name.startswith(f"{CLUSTER}/logs/")] == []
