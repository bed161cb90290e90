"""One measured bring-up: fresh simulated nodes, the real `pdctl up --json` as a process, and its events."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from pdctl.control.demo_nodes import DemoFleet, FleetOptions
from pdctl.control.demo_record import DemoNodes
from pdctl.control.opened import open_cluster

PDCTL = Path(sys.executable).with_name("pdctl")
LOOK_EARLIER_S = 0.3
LOOK_EVERY_S = 0.02


@dataclass(frozen=True, slots=True)
class Case:
    """`nodes` with `per_node` instances each; one node alone serves colocated, more are split into P and D."""

    name: str
    nodes: int
    per_node: int

    @property
    def layout(self) -> str:
        """Two fifths prefill (2P3D, 12P20D). The fleet needs two nodes at least; a second one stays unused."""
        prefill = max(1, self.nodes * 2 // 5)
        return f"{prefill}P{max(1, self.nodes - prefill)}D"


def parse_case(text: str) -> Case:
    """`32` or `4x8`. Raises ValueError."""
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    if match is None or int(match[1]) < 1:
        raise ValueError(f"a case reads like 32 or 4x8, not {text!r}")
    return Case(text, int(match[1]), int(match[2] or 1))


@dataclass(slots=True)
class Measured:
    """One bring-up. Seconds; `phases_s` in the order of the report's columns."""

    exit_code: int = -1
    complaint: str = ""
    wall_s: float = 0.0
    phases_s: tuple[float, ...] = (0.0,) * 9
    cpu_s: float = 0.0
    nodes_cpu_s: float = 0.0
    dial_s: float = 0.0
    exec_s: float = 0.0
    peak_bytes: int = 0
    load: float = 0.0


@dataclass(slots=True)
class Watched:
    """What the events and the engines' ports said, on the clock of `time.time`."""

    began: float = 0.0
    ended: float = 0.0
    events: list[dict[str, Any]] = field(default_factory=list)
    created: dict[str, float] = field(default_factory=dict)
    opened: dict[str, float] = field(default_factory=dict)

    def last(self, event: str, action: str | None = None) -> float:
        """When the last such event came; 0 where none did."""
        fits = (one for one in self.events if one["event"] == event and action in (None, one.get("action")))
        return max((one["ts"] for one in fits), default=0.0)


async def measure(case: Case, directory: Path, startup_s: float) -> tuple[Measured, Watched]:
    """Bring the case up once and measure it. The nodes and all on them are gone when this returns."""
    os.environ["XDG_STATE_HOME"] = str(directory / "state")
    run = Measured(load=os.getloadavg()[0])
    async with DemoFleet(directory / "fleet", FleetOptions(layout=case.layout, startup_s=startup_s)) as nodes:
        inventory = write_inventory(case, nodes)
        run.dial_s, run.exec_s = await floor(inventory, case.nodes)
        before_s = nodes_cpu_s(nodes)
        watched = await bring_up(inventory, run, startup_s)
        run.nodes_cpu_s = nodes_cpu_s(nodes) - before_s
    if run.exit_code != 0:
        failures = [one["cause"] for one in watched.events if one["event"] == "step_failed"]
        run.complaint = "; ".join(failures[:3]) or run.complaint
    return run, watched


def write_inventory(case: Case, nodes: DemoNodes) -> Path:
    """The fleet's own inventory, cut to the case, with engines that sleep before anything else."""
    document = yaml.safe_load(nodes.inventory.read_text())
    document["engine"]["python"] = str(write_sleeper(nodes.directory / "sleeper"))
    document["nodes"] = dict(list(document["nodes"].items())[: case.nodes])
    tp = 8 // case.per_node
    if case.nodes == 1:
        document["kv"] = {"connector": "none"}
        document["pools"] = {"mixed": {"role": "mixed", "parallel": {"tp": tp}}}
        document["nodes"]["n1"]["pool"] = "mixed"
    for pool in document["pools"].values():
        pool["parallel"] = {"tp": tp}
    path = nodes.directory / "bringup.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def write_sleeper(path: Path) -> Path:
    """A python for engines that sleeps first, each for a time of its own.

    Importing a simulated engine costs more CPU than starting it, and 32 of them would take the cores from the starts
    that are still to come. An engine's time counts from its process's start, so it opens its port no later for it.
    """
    path.write_text(f'#!/bin/sh\nsleep $(( 2 + $$ % 8 ))\nexec {shlex.quote(sys.executable)} "$@"\n')
    path.chmod(0o755)
    return path


async def floor(inventory: Path, count: int) -> tuple[float, float]:
    """Seconds to log in to all nodes at once, and to run `true` on all of them at once: no pdctl can be faster."""
    async with open_cluster(inventory) as opened:
        shells = [opened.cluster.shells.shell(name) for name in list(opened.deployment.nodes)[:count]]
        times = []
        for _ in range(2):
            began = time.monotonic()
            await asyncio.gather(*(shell.run(["true"], deadline_s=60.0) for shell in shells))
            times.append(time.monotonic() - began)
    return max(0.0, times[0] - times[1]), times[1]


def nodes_cpu_s(nodes: DemoNodes) -> float:
    """CPU seconds of the nodes' servers and of the commands that have ended on them."""
    return sum(sum(psutil.Process(node.pid).cpu_times()[:4]) for node in nodes.nodes)


async def bring_up(inventory: Path, run: Measured, startup_s: float) -> Watched:
    """Run the command and follow its events; fills `run`."""
    watched = Watched()
    looks: list[asyncio.Task[None]] = []
    reading, writing = os.pipe()
    log = inventory.with_name("bringup.stderr")
    stderr = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    command = [str(PDCTL), "-i", str(inventory), "--json", "up"]
    watched.began = time.time()
    # Not asyncio's subprocess: its own wait would take the resource usage that wait4 is to tell.
    pid = os.posix_spawn(  # noqa: ASYNC221 (it only starts the process)
        PDCTL,
        command,
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, writing, 1), (os.POSIX_SPAWN_DUP2, stderr, 2)],
    )
    os.close(writing)
    os.close(stderr)
    stream = asyncio.StreamReader(limit=1 << 20)
    protocol = asyncio.StreamReaderProtocol(stream)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(reading, "rb"))
    while line := await stream.readline():
        event = json.loads(line)
        watched.events.append(event)
        if event["event"] == "step_done" and event["action"] == "start":
            looks.append(asyncio.create_task(look(watched, event["subject"], event["detail"], startup_s)))
    status, used = await asyncio.to_thread(lambda: os.wait4(pid, 0)[1:])
    watched.ended = time.time()
    for task in looks:
        task.cancel()
    await asyncio.gather(*looks, return_exceptions=True)
    run.exit_code = os.waitstatus_to_exitcode(status)
    run.complaint = log.read_text(errors="replace").strip()[-500:]
    run.wall_s, run.cpu_s = watched.ended - watched.began, used.ru_utime + used.ru_stime
    run.peak_bytes = used.ru_maxrss * 1024
    if run.exit_code == 0:
        run.phases_s = phases(watched, startup_s)
    return watched


async def look(watched: Watched, name: str, detail: Mapping[str, Any], startup_s: float) -> None:
    """Notice by ourselves when the engine's process began and when its port opened."""
    address, _, port = detail["endpoint"].rpartition(":")
    watched.created[name] = process_began(detail["pids"][0])
    await asyncio.sleep(max(0.0, watched.created[name] + startup_s - LOOK_EARLIER_S - time.time()))
    while True:
        try:
            _, writer = await asyncio.open_connection(address, int(port))
        except OSError:
            await asyncio.sleep(LOOK_EVERY_S)
            continue
        watched.opened[name] = time.time()
        writer.close()
        return


def process_began(pid: int) -> float:
    """Unix time of a process's start. psutil's is off by up to a second: it adds a boot time of whole seconds."""
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")


def phases(watched: Watched, startup_s: float) -> tuple[float, ...]:
    """The wall time in a row of phases, without the time that engines were told to need."""
    created, opened = max(watched.created.values()), max(watched.opened.values())
    ends = [
        watched.last("lease_taken"),
        watched.last("run_started"),
        created,
        opened - startup_s,
        watched.last("step_done", "await ready") - startup_s,
        watched.last("step_done", "canary") - startup_s,
        watched.last("step_done", "register") - startup_s,
        watched.last("step_done", "completion through the router") - startup_s,
        watched.ended - startup_s,
    ]
    return tuple(round(end - start, 3) for start, end in zip([watched.began, *ends], ends, strict=False))
