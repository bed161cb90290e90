"""A secret on a node with systemd: who can find it, and that the search would find it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from pdctl.model.unit import UnitSpec
from tests.lab.lab import Lab
from tests.lab.nspawn import Systemd
from tests.lab.systemd_rig import Rig, cluster_of, rig

pytestmark = pytest.mark.asyncio(loop_scope="module")

POISON = "s3cr3t-poison-0f7c"

# As somebody else on the node: every property of every unit, every command line, every environment that /proc gives.
_AS_NOBODY = f"""
cd /
find_in() {{ grep -sq {POISON[:-4]}[0]f7c && echo "$1"; }}
systemctl show '*' | find_in properties
systemctl status '*' 2>/dev/null | find_in status
journalctl -q 2>/dev/null | find_in journal
cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | find_in commands
cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' ' ' | find_in environ
cat /run/systemd/transient/* 2>/dev/null | find_in unit-files
find /var/lib/pdctl -type f -exec cat {{}} + 2>/dev/null | find_in state
true
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    async with Lab(1, Systemd()) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def on(lab: Lab, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with rig(lab, cluster_of(request.node.name)) as made:
        yield made


def with_secret(on: Rig, script: str) -> UnitSpec:
    return replace(on.spec(script), secret_env={"HF_TOKEN": POISON}, files={"conf": "x"})


async def found_by_nobody(on: Rig) -> set[str]:
    """Where a user of the node without any rights finds the secret."""
    become = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
    return set((await on.host.run(*become, "/bin/sh", "-c", _AS_NOBODY)).split())


async def files_holding(on: Rig) -> set[str]:
    """Files of the node's state and of systemd that hold the secret, as root sees them."""
    script = f"grep -rl {POISON} /var/lib/pdctl /run/systemd /etc/systemd || true"
    return {path.rpartition("/")[2] for path in (await on.host.run("/bin/sh", "-c", script)).split()}


async def test_a_secret_reaches_the_engine_and_one_file_of_roots_only(on: Rig) -> None:
    spec = with_secret(on, 'test -n "$HF_TOKEN" && echo has it; exec sleep 600')
    started = await on.supervisor.start(spec, epoch=1)
    await on.says("has it")
    assert await found_by_nobody(on) == set()
    assert await files_holding(on) == {"env"}
    mode = await on.host.run("stat", "-c", "%a %U", f"/var/lib/pdctl/{on.cluster}/units/{on.unit()}/env")
    assert mode.split() == ["600", "root"]
    assert POISON not in await on.host.run("journalctl", "-q", "-o", "export")  # sudo logs command lines there
    view = await on.supervisor.inspect()
    await on.supervisor.stop(on.unit(), epoch=1)
    after = await on.supervisor.inspect()
    assert not [shown for shown in (started, view, after, spec) if POISON in repr(shown)]


async def test_an_ended_engine_leaves_no_secret_behind(on: Rig) -> None:
    await on.supervisor.start(with_secret(on, "exit 1"), epoch=1)
    await on.ended()
    assert await files_holding(on) == set()


async def test_nothing_in_the_state_directory_can_be_listed_or_read_by_others(on: Rig) -> None:
    await on.supervisor.start(with_secret(on, "exec sleep 600"), epoch=1)
    opened = await on.host.run("find", "/var/lib/pdctl", "-perm", "/066", "-not", "-name", "epoch*")
    assert opened == ""


async def test_the_search_for_secrets_does_find_one_that_leaks(on: Rig) -> None:
    unit = f"{on.unit('leak')}.service"
    argv = ("sh", "-c", f"echo {POISON}; sleep 600; : {POISON}")
    await on.host.run("systemd-run", f"--unit={unit}", f"--setenv=HF_TOKEN={POISON}", "--uid=nobody", "--", *argv)
    await on.says(POISON, "leak")
    found = await found_by_nobody(on)
    assert {"properties", "commands", "environ"} <= found
    assert unit in await files_holding(on)
