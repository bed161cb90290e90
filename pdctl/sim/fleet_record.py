"""What a fleet writes about itself: `lock`, who it is, held locked while it lives; `fleet.json`, once all nodes serve.

Both are the contract with `pdctl.control.demo_nodes`, which reads them and starts fleets by command line only.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

LOCK = "lock"
RECORD = "fleet.json"
LOG = "fleet.log"
CLIENT_KEY = "client_key"
KNOWN_HOSTS = "known_hosts"
INVENTORY = "inventory.yaml"
NODES = "nodes"
TOOLS = "tools"
MODEL = "model"
OURS = (RECORD, INVENTORY, KNOWN_HOSTS, CLIENT_KEY, f"{CLIENT_KEY}.pub", NODES, TOOLS, MODEL)
"""All that a fleet leaves in its directory, but for its lock and its log."""


class AlreadyUp(Exception):
    """Another fleet lives in this directory."""


class ForeignDirectory(Exception):
    """The directory holds other things than a fleet's."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Which process a fleet is: its pid means it only together with the boot and the start time (clock ticks)."""

    fleet: str
    pid: int
    start_ticks: int
    boot_id: str


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """One node as its users need it. `state` is "running" or how it ended."""

    name: str
    host: str
    port: int
    data_address: str
    root: str
    home: str
    pid: int
    host_key: str
    state: str = "running"


@dataclass(frozen=True, slots=True)
class FleetRecord:
    """`fleet.json`. Paths are absolute."""

    identity: Identity
    cluster: str
    network: str
    client_key: str
    known_hosts: str
    inventory: str
    router_port: int
    nodes: tuple[NodeRecord, ...] = field(default=())

    def with_state(self, node: str, state: str) -> FleetRecord:
        """The record after that node's change of state."""
        changed = tuple(replace(known, state=state) if known.name == node else known for known in self.nodes)
        return replace(self, nodes=changed)


def own_identity(fleet: str) -> Identity:
    """This process's identity."""
    stat = Path("/proc/self/stat").read_text()
    start_ticks = int(stat[stat.rindex(")") + 2 :].split()[19])  # field 22 of proc(5); two come before the bracket
    return Identity(fleet, os.getpid(), start_ticks, Path("/proc/sys/kernel/random/boot_id").read_text().strip())


def write_atomically(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Replace `path` so that a reader sees the old content or the new one."""
    fresh = path.with_name(f".{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    fresh.replace(path)


def write_record(directory: Path, record: FleetRecord) -> None:
    """Publish `record` as the directory's fleet.json."""
    write_atomically(directory / RECORD, json.dumps(asdict(record), indent=2) + "\n")


def take_directory(directory: Path, identity: Identity) -> int:
    """Make `directory` ours, rid of what a dead fleet left, and return the lock's descriptor, to be held for life.

    Raises AlreadyUp if a fleet lives there and ForeignDirectory if the directory is somebody else's.
    """
    if directory.exists() and any(directory.iterdir()) and not (directory / LOCK).exists():
        foreign = sorted(path.name for path in directory.iterdir() if path.name != LOG)
        if foreign:
            raise ForeignDirectory(f"{directory} holds {foreign[0]!r}, which is not a fleet's")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise AlreadyUp(f"a fleet is up in {directory}") from None
    remove_contents(directory)
    os.ftruncate(lock, 0)
    os.pwrite(lock, json.dumps(asdict(identity)).encode(), 0)
    return lock


def remove_contents(directory: Path) -> None:
    """Remove what a fleet made in its directory; its lock and its log stay."""
    for name in OURS:
        path = directory / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
