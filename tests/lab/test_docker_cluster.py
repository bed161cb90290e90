"""2P3D with simulated engines in containers on two hosts: up, load, down; docker and pdctl agree at every stage."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.lab.docker_image import IMAGE
from tests.lab.docker_rig import ROOT, docker_lab
from tests.lab.host import LabHost
from tests.lab.inventory_for import Wanted
from tests.lab.lab import Lab
from tests.lab.operators import Operator, operator_of
from tests.waiting import wait_until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

CLUSTER = "lab"
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


@pytest_asyncio.fixture(loop_scope="module")
async def operator(lab: Lab, tmp_path: Path) -> AsyncIterator[Operator]:
    """On hosts where nothing of ours runs, before and after."""
    nodes = {name: {"slots": slots} for name, slots in SLOTS.items()}
    wanted = Wanted(prefill=0, decode=0, cluster=CLUSTER, supervisor="docker", nodes=nodes)
    found = operator_of(lab, tmp_path, wanted, edit=lambda text: text.replace('"tp": 8', '"tp": 2'))
    yield found
    await found.succeeds("down", "--now")


async def containers(host: LabHost, *options: str) -> set[str]:
    return set((await host.run("docker", "ps", "--format", "{{.Names}}", *options)).split())


async def on_all(lab: Lab, *options: str) -> set[str]:
    return set().union(*[await containers(host, *options) for host in lab.hosts.values()])


async def image_id(host: LabHost) -> str:
    """Of the lab's image on that host, in hex."""
    return (await host.run("docker", "images", "--quiet", "--no-trunc", IMAGE)).strip().removeprefix("sha256:")


async def status(operator: Operator) -> dict[str, str]:
    """Unit -> state, as `pdctl status` says."""
    return {f"pdctl.{CLUSTER}.{name}": state for name, state in (await operator.states()).items()}


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


async def test_up_load_and_down_of_2p3d_under_docker(lab: Lab, operator: Operator) -> None:
    await operator.succeeds("up")
    assert await on_all(lab) == ENGINES | SERVICES
    assert await on_all(lab, "--filter", f"label=pdctl.cluster={CLUSTER}") == ENGINES | SERVICES
    assert await status(operator) == {
        **dict.fromkeys(ENGINES, "serving"),
        **dict.fromkeys(SERVICES, "running"),
    }
    assert set(await operator.load()) == {200}

    again = await operator.succeeds("up")
    assert not again.events("step_done")

    # Each host imported the image for itself, so that the same name stands for two builds.
    (alert,) = (await operator.pdctl("status")).document()["alerts"]
    builds = {name: await image_id(host) for name, host in lab.hosts.items()}
    assert alert.startswith("engines run different builds of their image: ")
    assert all(f"{image[:12]} on {name}" in alert for name, image in builds.items())

    victim = f"pdctl.{CLUSTER}.h2.b.0"
    await lab.hosts["h2"].run("docker", "kill", victim)
    await wait_until(lambda: is_in(operator, victim, "failed"), 20, what=f"{victim} has failed", poll_s=0.2)
    assert await on_all(lab) == (ENGINES | SERVICES) - {victim}
    await operator.succeeds("up")
    assert await on_all(lab) == ENGINES | SERVICES
    assert set(await operator.load()) == {200}

    await operator.succeeds("down")
    assert set((await status(operator)).values()) == {"down"}
    for host in lab.hosts.values():
        left = await traces(host)
        files = left.pop("files").split()
        assert left == dict.fromkeys(left, ""), left
        # Left are logs, the ledger, and what the lease node knows of the cluster.
        assert [name for name in files if name.count("/") > 1 and not name.startswith(f"{CLUSTER}/logs/")] == []


async def is_in(operator: Operator, unit: str, state: str) -> bool:
    return (await status(operator))[unit] == state
