"""Node side: one unit of the `docker` supervisor as its directory and the container engine show it.

`<cluster>/units/<unit>/` holds spec.json (labels, argv, ports: nothing secret), env (what `--env-file` read), secret/
(mounted into the container where there are secrets), `stop.json` once a stop was asked for, and files/. Output is with
the container engine, until the container is removed: then it lies in `<cluster>/logs/`.
This side collects; `docker_records.py` on the controller says what the facts mean.
"""

import os
import subprocess

from pdctl.supervisors.docker_cli_on_node import (
    cli,
    container_cli,
    container_named,
    has_run,
    is_live,
    last_of,
)
from pdctl.supervisors.node_state_on_node import Refusal, boot_id, read_json, read_text
from pdctl.supervisors.proc_on_node import all_pids, describe, stat_of
from pdctl.supervisors.unit_on_node import EVIDENCE_LINES, Unit, discard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Facts = dict[str, Any]

KIND = "docker"
LOG_WAIT_S = 30.0


class Container(Unit):
    """A unit's directory and its container; either may be missing. `shown` is the container of its name, whoever's."""

    def __init__(self, cluster_dir: str, name: str, shown: "Facts | None") -> None:
        Unit.__init__(self, cluster_dir, name)
        self.shown = shown

    def look(self) -> None:
        """Read both again."""
        self.read()
        self.shown = container_named(self.name)

    def read(self) -> None:
        Unit.read(self)
        self.exit = None  # the process supervisor's, of a launch before the supervisor was changed

    def ours(self) -> bool:
        """Whether this supervisor made it: by the container's labels, else by the record."""
        if self.shown is not None:
            return self.shown["labels"] is not None
        return self.spec is not None and self.kept_by() == KIND

    def lives(self) -> bool:
        return is_live(self.shown) or bool(self.left())

    def left(self) -> "dict[int, int]":
        """{pid: start} of what lives of it, by its cgroup and by its marks."""
        found = self.remains()
        if self.shown is not None:
            found.update(members(self.shown["id"]))
        return found

    def has_run(self) -> bool:
        """Whether its main process was ever started. Where the container was removed, a start that came to its end
        tells: it took `env` away."""
        if self.shown is not None:
            return has_run(self.shown)
        return self.spec is not None and not os.path.exists(self.path("env"))

    def generation(self) -> int:
        labels = (self.shown or {}).get("labels") or (self.spec or {}).get("labels") or {}
        return int(labels.get("generation", 0))

    def stop_asked(self) -> bool:
        """Whether a stop was asked for of this very launch."""
        order = read_json(self.path("stop.json")) or {}
        return self.shown is not None and order.get("container") == self.shown["id"]

    def facts(self) -> "Facts":
        """What `docker_records.py` reads. Env, and so secrets, are not in any of it."""
        live = is_live(self.shown)
        ended = self.shown is not None and not live and has_run(self.shown)
        return {
            "unit": self.name,
            "spec": self.spec,
            "shown": self.shown,
            "here": (self.shown or self.spec or {}).get("boot_id") == boot_id(),
            "booted_at": booted_at(),
            "stop_asked": self.stop_asked(),
            "remains": [describe(pid) for pid in ({} if live else self.left())],
            "tail": last_lines(self.shown["id"]) if ended and self.shown else [],
        }


def members(container: str) -> "dict[int, int]":
    """{pid: start} of the processes in the container's cgroup, however docker or podman name it."""
    found = {}
    for pid in all_pids():
        stat = stat_of(pid) if container in read_text("/proc/{}/cgroup".format(pid)) else None
        if stat is not None:
            found[pid] = stat.start
    return found


def booted_at() -> float:
    """Unix time (proc(5), /proc/stat)."""
    lines = [line for line in read_text("/proc/stat").splitlines() if line.startswith("btime ")]
    return float(lines[0].split()[1]) if lines else 0.0


def last_lines(container: str) -> "list[str]":
    """What it printed last, decoded; none where it cannot be read."""
    try:
        ran = subprocess.run(
            [container_cli(), "logs", "--tail={}".format(EVIDENCE_LINES), container],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=LOG_WAIT_S,
        )
    except subprocess.TimeoutExpired:
        return []
    return ran.stdout.decode("utf-8", "replace").splitlines()[-EVIDENCE_LINES:]


def discard_container(unit: Container) -> None:
    """Remove an ended container of ours and its directory; its log stays in `<cluster>/logs/`."""
    if unit.shown is None and not os.path.isdir(unit.directory):
        return
    if unit.shown is not None:
        if has_run(unit.shown):
            save_log(unit.shown["id"], unit.path("log"))
        status, _, error = cli("rm", "--volumes", unit.shown["id"])
        if status and "no such container" not in error.lower():
            raise Refusal("supervisor", "its container cannot be removed: " + last_of(error))
    discard(unit)


def save_log(container: str, path: str) -> None:
    """Write what the container printed, which its log driver bounds, to a file."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with open(path, "wb") as file:
        try:
            subprocess.run(
                [container_cli(), "logs", container],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                timeout=LOG_WAIT_S,
            )
        except subprocess.TimeoutExpired:
            file.write(b"\n[pdctl] the container engine did not give all of this log in time\n")
