"""What a fleet of simulated nodes says of itself, and what is left of one: read from its directory and from /proc.

The fleet is another program (`python -m pdctl.sim.fleet`); its files are the contract. `lock` says who it is from its
first moment on, `fleet.json` where its nodes are once they serve.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

MARKER = "PDCTL_SIM_FLEET"
"""Set in the environment of a fleet and of everything that runs on its nodes."""


@dataclass(frozen=True, slots=True)
class FleetIdentity:
    """One fleet's process. The pid counts only with the boot and the start time (clock ticks since boot)."""

    fleet: str
    pid: int
    start_ticks: int
    boot_id: str

    def alive(self) -> bool:
        """Whether that very process still runs."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text()
            boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            return False
        fields = stat[stat.rindex(")") + 2 :].split()  # proc(5) from field 3
        return boot_id == self.boot_id and int(fields[19]) == self.start_ticks and fields[0] not in ("Z", "X")


@dataclass(frozen=True, slots=True)
class DemoNode:
    """One simulated node. `state` is "running" or how it ended."""

    name: str
    host: str
    port: int
    data_address: str
    root: str
    home: str
    pid: int
    host_key: str
    state: str


@dataclass(frozen=True, slots=True)
class DemoNodes:
    """A fleet whose nodes serve. Paths are absolute."""

    identity: FleetIdentity
    directory: Path
    cluster: str
    inventory: Path
    known_hosts: Path
    client_key: Path
    router_port: int
    nodes: tuple[DemoNode, ...]


@dataclass(frozen=True, slots=True)
class Leftover:
    """A process of a fleet that outlived it."""

    pid: int
    command: str


def read_identity(directory: Path) -> FleetIdentity | None:
    """Who holds, or held, the fleet's directory; None if nobody ever did."""
    raw = _read_json(directory / "lock")
    return None if raw is None else _identity(raw)


def read_nodes(directory: Path) -> DemoNodes | None:
    """The fleet that `fleet.json` describes; None without one. It may be dead: ask its identity."""
    raw = _read_json(directory / "fleet.json")
    if raw is None:
        return None
    return DemoNodes(
        identity=_identity(raw["identity"]),
        directory=directory,
        cluster=raw["cluster"],
        inventory=Path(raw["inventory"]),
        known_hosts=Path(raw["known_hosts"]),
        client_key=Path(raw["client_key"]),
        router_port=raw["router_port"],
        nodes=tuple(DemoNode(**{key: node[key] for key in DemoNode.__slots__}) for node in raw["nodes"]),
    )


def find_leftovers(fleet: str) -> tuple[Leftover, ...]:
    """Every live process that carries the fleet's marker, wherever it hangs in the process tree."""
    wanted = f"{MARKER}={fleet}".encode()
    found: list[Leftover] = []
    for process in psutil.process_iter():
        try:
            environment = Path(f"/proc/{process.pid}/environ").read_bytes()  # empty for a zombie
            if wanted in environment.split(b"\0") and process.pid != os.getpid():
                found.append(Leftover(process.pid, " ".join(process.cmdline())[:200]))
        except (OSError, psutil.Error):  # it ended meanwhile, or is another user's
            continue
    return tuple(found)


def kill_leftovers(fleet: str, *, grace_s: float = 3.0, deadline_s: float = 10.0) -> tuple[Leftover, ...]:
    """SIGKILL all that carries the fleet's marker until nothing does; what had to be killed, normally nothing.

    The fleet must have ended. For `grace_s` its nodes are left to end their trees themselves: they know every
    descendant, while the marker shows only those that kept their environment. Blocking.
    """
    killed: dict[int, Leftover] = {}
    begun = time.monotonic()
    while left := find_leftovers(fleet):
        passed_s = time.monotonic() - begun
        if passed_s > grace_s + deadline_s:
            break
        for process in left if passed_s > grace_s else ():
            killed.setdefault(process.pid, process)
            try:
                psutil.Process(process.pid).kill()
            except psutil.Error:
                continue
        time.sleep(0.02)
    return tuple(killed.values())


def _identity(raw: Mapping[str, Any]) -> FleetIdentity:
    return FleetIdentity(raw["fleet"], raw["pid"], raw["start_ticks"], raw["boot_id"])


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):  # absent, or just being written
        return None
    return found if isinstance(found, dict) else None
