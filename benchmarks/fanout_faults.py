"""What pdctl says of hosts that freeze or die while a command runs: how soon, and never that it went well.

python benchmarks/fanout_faults.py
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import psutil
from fanout_hosts import Fleet, hosting
from fanout_inventories import KEEPALIVE_COUNT, name, pdctl_inventory
from fanout_tools import PDCTL

from pdctl.control.opened import open_cluster
from pdctl.control.remote_exec import ExecResult, exit_code, remote_exec

HOSTS = 16
DEAD = 4
UNREACHABLE = 4  # pdctl's exit code where nodes failed only for being lost
KEEPALIVE_S = 1.0
SPARE_S = 1.0
COMMAND = ("sh", "-c", "sleep 3; echo done")
DEADLINE_S = 60.0
LOOK_EVERY_S = 0.02


def check_lost_hosts() -> bool:
    """Freeze one host of a held fleet, kill four under `pdctl exec`; False where either was told wrongly."""
    with hosting(HOSTS) as fleet:
        inventory = pdctl_inventory(fleet, HOSTS, fleet.known_hosts, fleet.client / "pdctl.yaml", KEEPALIVE_S)
        killed = kill_some(fleet, inventory)
        frozen = asyncio.run(freeze_one(fleet, inventory))
    return killed and frozen


async def freeze_one(fleet: Fleet, inventory: Path) -> bool:
    """SIGSTOP to all of a host's processes while a command runs there: no byte and no reset comes any more."""
    async with open_cluster(inventory) as opened:
        nodes = list(opened.deployment.nodes)
        shells = opened.cluster.shells
        await asyncio.gather(*(shells.shell(node).run(["true"], deadline_s=DEADLINE_S) for node in nodes))
        running = asyncio.create_task(asyncio.to_thread(wait_for_sleep, fleet, [0]))
        results: list[ExecResult] = []
        frozen_at, told_at, frozen = 0.0, 0.0, list[psutil.Process]()
        async with asyncio.TaskGroup() as group:

            async def freeze() -> None:
                nonlocal frozen_at
                await running
                frozen.extend(fleet.processes(0))
                send(signal.SIGSTOP, frozen)
                frozen_at = time.monotonic()

            group.create_task(freeze())
            async for result in remote_exec(shells, nodes, COMMAND, deadline_s=DEADLINE_S):
                results.append(result)
                if result.node == name(0):
                    told_at = time.monotonic()
    send(signal.SIGCONT, frozen)
    lost = [result.node for result in results if result.status is None]
    limit_s, took_s = KEEPALIVE_S * KEEPALIVE_COUNT + SPARE_S, told_at - frozen_at
    print(
        f"\nfrozen under a command: {', '.join(lost)} told after {took_s:.2f} s as {trouble(results)!r}; keepalive "
        f"{KEEPALIVE_S:g} s x {KEEPALIVE_COUNT} + {SPARE_S:g} s is {limit_s:g} s; exit code {exit_code(results)}"
    )
    return lost == [name(0)] and took_s <= limit_s and exit_code(results) == UNREACHABLE


def kill_some(fleet: Fleet, inventory: Path) -> bool:
    """SIGKILL to hosts' sessions under a running `pdctl exec`: exactly these are lost, and the exit code says so."""
    argv = [str(PDCTL), "-i", str(inventory), "--json", "exec", "-t", f"{DEADLINE_S:g}", "--", *COMMAND]
    command = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        wait_for_sleep(fleet, range(HOSTS))
        for host in range(DEAD):
            send(signal.SIGKILL, fleet.processes(host, listener=False))
        output, _ = command.communicate(timeout=DEADLINE_S)
    finally:
        command.kill()
        command.wait()
    said = [json.loads(line) for line in output.splitlines()]
    good = sorted(one["node"] for one in said if one["status"] == 0)
    lost = sorted(one["node"] for one in said if one["status"] is None)
    print(
        f"\nkilled under a command: {DEAD} of {HOSTS}; pdctl told {len(good)} well and {len(lost)} lost, "
        f"exit code {command.returncode}"
    )
    expected = [name(host) for host in range(HOSTS)]
    return (lost, good, command.returncode) == (expected[:DEAD], expected[DEAD:], UNREACHABLE)


def wait_for_sleep(fleet: Fleet, hosts: Iterable[int]) -> None:
    """Until the command runs on all these hosts. Raises TimeoutError."""
    deadline = time.monotonic() + DEADLINE_S
    for host in hosts:
        while not any(named(process, "sleep") for process in fleet.processes(host)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"no command runs on {name(host)}")
            time.sleep(LOOK_EVERY_S)


def named(process: psutil.Process, wanted: str) -> bool:
    try:
        return process.name() == wanted
    except psutil.NoSuchProcess:
        return False


def send(number: int, processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def trouble(results: Iterable[ExecResult]) -> str:
    return next((result.trouble for result in results if result.trouble), "")


if __name__ == "__main__":
    raise SystemExit(int(not check_lost_hosts()))
