"""2P3D with simulated engines in system units on five hosts: systemctl and pdctl agree at every stage."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.lab.host import LabHost
from tests.lab.inventory_for import Wanted
from tests.lab.lab import Lab
from tests.lab.nspawn import Systemd
from tests.lab.operators import ROOT, Operator, operator_of
from tests.waiting import wait_until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

CLUSTER = "lab"
ENGINES = {f"pdctl.{CLUSTER}.h{number}.main.0" for number in range(1, 6)}
SERVICES = {f"pdctl.{CLUSTER}.router", f"pdctl.{CLUSTER}.registrar"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    async with Lab(5, Systemd()) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def operator(lab: Lab, tmp_path: Path) -> AsyncIterator[Operator]:
    """On hosts where nothing of ours runs, before and after."""
    found = operator_of(lab, tmp_path, Wanted(prefill=2, decode=3, cluster=CLUSTER, supervisor="systemd"))
    yield found
    await found.succeeds("down", "--now")


async def units(host: LabHost, *options: str) -> set[str]:
    """Names of pdctl's units on a host, as systemctl lists them."""
    listed = await host.run("systemctl", "list-units", "--plain", "--no-legend", *options, "pdctl.*")
    return {line.split()[0].removesuffix(".service") for line in listed.splitlines()}


async def on_all(lab: Lab, *options: str) -> set[str]:
    return set().union(*[await units(host, *options) for host in lab.hosts.values()])


async def status(operator: Operator) -> dict[str, str]:
    """Unit -> state, as `pdctl status` says."""
    return {f"pdctl.{CLUSTER}.{name}": state for name, state in (await operator.states()).items()}


async def traces(host: LabHost) -> dict[str, str]:
    """What is left of us on a host."""
    shell = "/bin/sh"
    return {
        "units": " ".join(await units(host, "--all")),
        "processes": await host.run(shell, "-c", "grep -lsz ^PDCTL_UNIT= /proc/[0-9]*/environ || true"),
        "ports": await host.run(shell, "-c", "ss -Hltn 'sport >= 20000 and sport <= 32767'"),
        "files": await host.run(shell, "-c", f"find {ROOT} -type f -printf '%P\\n'"),
    }


async def test_up_load_and_down_of_2p3d_under_systemd(lab: Lab, operator: Operator) -> None:
    await operator.succeeds("up")
    assert await on_all(lab, "--state=active") == ENGINES | SERVICES
    assert await status(operator) == {
        **dict.fromkeys(ENGINES, "serving"),
        **dict.fromkeys(SERVICES, "running"),
    }
    assert set(await operator.load()) == {200}

    again = await operator.succeeds("up")
    assert not again.events("step_done")

    victim = f"pdctl.{CLUSTER}.h5.main.0"
    await lab.hosts["h5"].run("systemctl", "kill", "--signal=KILL", "--kill-who=main", victim)
    await wait_until(lambda: is_in(operator, victim, "failed"), 20, what=f"{victim} has failed", poll_s=0.2)
    assert await on_all(lab, "--state=active") == (ENGINES | SERVICES) - {victim}
    await operator.succeeds("up")
    assert await on_all(lab, "--state=active") == ENGINES | SERVICES
    assert set(await operator.load()) == {200}

    await operator.succeeds("down")
    assert set((await status(operator)).values()) == {"down"}
    for host in lab.hosts.values():
        left = await traces(host)
        files = left.pop("files").split()
        assert left == dict.fromkeys(left, ""), left
        # Left are the ledger, and what the lease node knows of the cluster; logs are in the journal.
        assert [name for name in files if name.count("/") > 1] == []


async def is_in(operator: Operator, unit: str, state: str) -> bool:
    return (await status(operator))[unit] == state


async def test_controller_killed_right_after_a_start_was_sent(lab: Lab, operator: Operator) -> None:
    """The engines that it started serve nobody; a rerun from another machine adopts or replaces them."""
    async with operator.starts("up") as first:
        await first.has_said("step_started", action="start")
        first.process.kill()
    assert 200 not in await operator.load()
    elsewhere = operator.elsewhere()
    await elsewhere.succeeds("up")
    assert await on_all(lab, "--state=active") == ENGINES | SERVICES
    assert set((await status(elsewhere)).values()) == {"serving", "running"}
    assert set(await elsewhere.load()) == {200}
    await elsewhere.succeeds("down")
    assert await on_all(lab, "--all") == set()
