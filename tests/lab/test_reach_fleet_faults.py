"""Faults of reach during a whole `up`, named after what happened: what the run says, and how the next converges."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

import pytest

from tests.lab.cheap import Cheap
from tests.lab.controller import Running, Said, pdctl, running
from tests.lab.host import LabHost
from tests.lab.inventory_for import Wanted, inventory_for
from tests.lab.lab import Lab
from tests.lab.site import MODEL
from tests.waiting import wait_until

_ENGINE = "pdctl.sim.engine"


def write_inventory(tmp_path: Path, lab: Lab, wanted: Wanted) -> Path:
    path = tmp_path / "inventory.yaml"
    path.write_text(inventory_for(lab, wanted))
    return path


async def engines(host: LabHost) -> int:
    """How many simulated engines run on a host, by its own process table: their leaders, not their workers."""
    lines = (await host.run("ps", "-eo", "pid,args")).splitlines()
    return sum(f"-m {_ENGINE}" in line and "_worker" not in line for line in lines)


async def status(tmp_path: Path, inventory: Path) -> dict[str, str]:
    """The state of every instance, by name."""
    said = await pdctl(tmp_path, inventory, "status")
    return {one["name"]: one["state"] for one in json.loads(said.stdout)["instances"]}


async def down(tmp_path: Path, inventory: Path) -> Said:
    return await pdctl(tmp_path, inventory, "down", "--now")


async def test_a_host_is_unreachable_at_the_start(tmp_path: Path) -> None:
    """Its part is out of reach, which is not "failed"; the others serve; a later run brings it in."""
    async with Lab(3, Cheap()) as lab:
        inventory = write_inventory(tmp_path, lab, Wanted(decode=2, ssh={"connect_timeout": "2s"}))
        gone = lab.hosts["h3"]
        await gone.blackhole()

        up = await pdctl(tmp_path, inventory, "up")
        assert up.status == 4, up
        (unreachable,) = up.events("node_unreachable")
        assert unreachable["node"] == "h3"
        assert unreachable["cause"] == f"no answer from {gone.address} in 2 s"
        assert up.events("step_failed") == []
        assert await status(tmp_path, inventory) == {
            "h1.main.0": "serving",
            "h2.main.0": "serving",
            "h3.main.0": "unknown",
        }

        await gone.heal()
        again = await pdctl(tmp_path, inventory, "up")
        assert again.status == 0, again
        assert {line["subject"] for line in again.events("planned") if line["action"] == "start"} == {"h3.main.0"}
        assert set((await status(tmp_path, inventory)).values()) == {"serving"}
        assert (await down(tmp_path, inventory)).status == 0


_PATIENCE = {"keepalive": "1s", "keepalive_count": 2, "connect_timeout": "10s"}


async def _start_and_partition(up: Running, host: LabHost) -> None:
    """Cut `host` off while the answer to its engine's start is on the way: the engine runs, nobody has heard."""
    await wait_until(lambda: engines(host), 60, what=f"the engine of {host.name} runs: {up.so_far()}", poll_s=0)
    await host.blackhole()
    done = {line["step"] for line in up.so_far().events("step_done")}
    assert f"start:{host.name}.main.0" not in done


async def test_a_short_partition_after_the_start_was_sent(tmp_path: Path) -> None:
    """The connection is lost, the run looks again, and goes on with the engine that it finds."""
    async with Lab(3, Cheap()) as lab:
        inventory = write_inventory(tmp_path, lab, Wanted(decode=2, ssh=_PATIENCE))
        host = lab.hosts["h3"]
        await host.delay(0.15)
        async with running(tmp_path, inventory, "up") as up:
            await _start_and_partition(up, host)
            await asyncio.sleep(3.0)  # longer than keepalive x count
            await host.heal()
            said = await up.end()
        assert said.status == 0, said
        assert await engines(host) == 1
        assert set((await status(tmp_path, inventory)).values()) == {"serving"}
        assert (await down(tmp_path, inventory)).status == 0


async def test_a_long_partition_after_the_start_was_sent(tmp_path: Path) -> None:
    """The outcome is unknown; the next run adopts the engine that nobody heard of, and starts no second one."""
    async with Lab(3, Cheap()) as lab:
        inventory = write_inventory(tmp_path, lab, Wanted(decode=2, ssh={**_PATIENCE, "connect_timeout": "5s"}))
        host = lab.hosts["h3"]
        await host.delay(0.15)
        async with running(tmp_path, inventory, "up") as up:
            await _start_and_partition(up, host)
            said = await up.end()
        assert said.status == 4, said
        (failed,) = said.events("step_failed")
        assert failed["step"] == "start:h3.main.0"
        assert failed["unknown"] is True, failed
        await host.heal()
        await host.delay(0)
        assert await engines(host) == 1
        again = await pdctl(tmp_path, inventory, "up")
        assert again.status == 0, again
        assert [line for line in again.events("planned") if line["action"] == "start"] == []
        assert await engines(host) == 1
        assert set((await status(tmp_path, inventory)).values()) == {"serving"}
        assert (await down(tmp_path, inventory)).status == 0
        assert [await engines(one) for one in lab.hosts.values()] == [0, 0, 0]


async def test_sshd_dies_on_a_host_that_serves(tmp_path: Path) -> None:
    """Nothing of ours hangs on sshd: traffic goes on, `status` says unknown, and nothing is restarted for it."""
    async with Lab(2, Cheap()) as lab:
        inventory = write_inventory(tmp_path, lab, Wanted())
        assert (await pdctl(tmp_path, inventory, "up")).status == 0
        host = lab.hosts["h2"]
        host.kill_sshd()
        assert (await status(tmp_path, inventory))["h2.main.0"] == "unknown"
        up = await pdctl(tmp_path, inventory, "up")
        assert up.status == 4
        assert up.events("step_started") == [], up.stdout
        assert await engines(host) == 1
        await host.run("/usr/sbin/sshd", "-E", "/var/log/sshd.log")
        assert set((await status(tmp_path, inventory)).values()) == {"serving"}
        assert (await down(tmp_path, inventory)).status == 0


# A file system whose server never answers: what a hung NFS mount is to those who ask for a path on it.
_HANG = """
import ctypes, os, sys, time
fuse = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0,allow_other"
if ctypes.CDLL(None).mount(b"hung", sys.argv[1].encode(), b"fuse", 0, options.encode()):
    sys.exit("no mount")
open("/run/hang", "w").write(str(os.getpid()))
time.sleep(600)
"""


async def hang(host: LabHost, path: str) -> None:
    """From now on nobody gets an answer for `path`."""
    await host.run("sh", "-c", '"$@" >/dev/null 2>&1 &', "sh", sys.executable, "-c", _HANG, path)
    await wait_until(host.path("/run/hang").exists, 10, what="the file system is mounted")


async def unhang(host: LabHost, path: str) -> None:
    await host.run("sh", "-c", f"kill -KILL $(cat /run/hang); umount -l {path}")


@pytest.mark.skipif(not Path("/dev/fuse").exists(), reason="no /dev/fuse: no file system that hangs can be made")
async def test_the_file_system_of_the_model_hangs(tmp_path: Path) -> None:
    """The node is told by name in seconds, nothing is started there, and the others serve."""
    async with Lab(3, Cheap()) as lab:
        inventory, host = write_inventory(tmp_path, lab, Wanted(decode=2)), lab.hosts["h3"]
        await hang(host, MODEL)
        began = time.monotonic()
        up = await pdctl(tmp_path, inventory, "up")
        assert time.monotonic() - began < 60.0
        assert up.status == 3, up
        (failed,) = up.events("step_failed")
        assert failed["step"] == "start:h3.main.0"
        assert f"no answer for {MODEL}" in failed["cause"] and failed["cause"].endswith("its file system hangs")
        assert await engines(host) == 0
        assert await status(tmp_path, inventory) == {
            "h1.main.0": "serving",
            "h2.main.0": "serving",
            "h3.main.0": "down",
        }
        await unhang(host, MODEL)
        assert (await pdctl(tmp_path, inventory, "up")).status == 0
        assert set((await status(tmp_path, inventory)).values()) == {"serving"}
        assert (await down(tmp_path, inventory)).status == 0


async def test_a_straggler_delays_nobody_else(tmp_path: Path) -> None:
    async with Lab(5, Cheap()) as lab:
        slow = lab.hosts["h3"]
        await slow.run("sh", "-c", "printf '#!/bin/sh\\nexec sleep 61\\n' >/usr/local/bin/probe")
        for host in lab.hosts.values():
            if host is not slow:
                await host.run("sh", "-c", "printf '#!/bin/sh\\nhostname\\n' >/usr/local/bin/probe")
            await host.run("chmod", "755", "/usr/local/bin/probe")
        inventory = write_inventory(tmp_path, lab, Wanted(decode=4))
        began = time.monotonic()
        said = await pdctl(tmp_path, inventory, "exec", "-t", "3", "--", "probe")
        assert time.monotonic() - began < 15.0
        assert said.status == 3
        results = said.events("exec")
        assert sorted(one["node"] for one in results[:4]) == ["h1", "h2", "h4", "h5"]
        assert [one["stdout"].strip() for one in results[:4]] == [one["node"] for one in results[:4]]
        assert results[4]["node"] == "h3"
        assert results[4]["status"] is None
        assert "took longer than 3 s" in results[4]["trouble"]
        assert await _gone(slow, "sleep 61")  # `timeout -k` there: SSH would have left it running


async def _gone(host: LabHost, command: str, deadline_s: float = 15.0) -> bool:
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        if command not in await host.run("ps", "-eo", "args"):
            return True
        await asyncio.sleep(0.1)
    return False
