"""Node side: one unit of the `systemd` supervisor as its directory, systemd and the journal show it.

`<cluster>/units/<unit>/` holds spec.json (labels, argv, ports: nothing secret), env (the EnvironmentFile, root's),
ended.sh and what it writes, ended.json, `stop.json` once a stop was asked for, and files/. Output is in the journal.
This side collects; `systemd_records.py` on the controller says what the facts mean.
"""

import os
import subprocess
import time

from pdctl.supervisors.node_state_on_node import Refusal, read_json
from pdctl.supervisors.proc_on_node import all_pids, describe, stat_of
from pdctl.supervisors.systemd_command_on_node import labels_described
from pdctl.supervisors.systemd_journal_on_node import launch_journal
from pdctl.supervisors.unit_on_node import EVIDENCE_LINES, Unit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Facts = dict[str, Any]

KIND = "systemd"
PROPERTIES = (
    "Id",
    "Description",
    "LoadState",
    "ActiveState",
    "SubState",
    "Result",
    "MainPID",
    "ExecMainPID",
    "ExecMainCode",
    "ExecMainStatus",
    "ExecMainStartTimestampMonotonic",
    "NRestarts",
    "InvocationID",
)
UNITS = "pdctl.*.service"
LIVE = ("active", "reloading", "activating", "deactivating")
SYSTEMCTL_WAIT_S = 25.0


def systemctl(*arguments: str) -> "tuple[int, str, str]":
    """(status, stdout, stderr). Raises Refusal where systemd does not run here, or does not answer."""
    try:
        ran = subprocess.run(
            ["systemctl", "--no-pager", "--no-ask-password", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=SYSTEMCTL_WAIT_S,
        )
    except OSError:
        raise no_systemd("systemctl is not installed") from None
    except subprocess.TimeoutExpired:
        raise Refusal("supervisor", "systemd has not answered for {:.0f} s".format(SYSTEMCTL_WAIT_S)) from None
    error = ran.stderr.decode("utf-8", "replace").strip()
    if ran.returncode and ("Failed to connect to bus" in error or "not been booted with systemd" in error):
        raise no_systemd(error.splitlines()[0])
    return ran.returncode, ran.stdout.decode("utf-8", "replace"), error


def no_systemd(cause: str) -> Refusal:
    return Refusal("supervisor", "systemd does not run here: " + cause, "set `supervisor: docker` or `process`")


def shown_units(pattern: str = UNITS, *more: str) -> "dict[str, Facts]":
    """{unit: properties} of every unit of such a name that systemd knows, whoever made it. One call for all of a node.

    `labels` is None for a unit that is none of ours, whatever its name.
    """
    status, output, error = systemctl("show", "--property=" + ",".join(PROPERTIES), "--", pattern, *more)
    if status:
        raise Refusal("supervisor", "systemctl show: " + (error or "status {}".format(status)))
    found = {}
    for block in output.split("\n\n"):
        pairs = [line.partition("=") for line in block.splitlines()]
        shown = {name: value for name, _, value in pairs}  # type: Facts
        name = shown.get("Id", "")
        if not name.endswith(".service") or shown.get("LoadState") == "not-found":
            continue
        labels = labels_described(shown.get("Description", ""))
        unit = name[: -len(".service")]
        named = labels is not None and unit == "pdctl.{}.{}".format(labels["cluster"], labels["instance"])
        found[unit] = dict(shown, labels=labels if named else None)
    return found


def is_live(shown: "Facts | None") -> bool:
    return shown is not None and shown["ActiveState"] in LIVE


class Service(Unit):
    """A unit's directory and what systemd knows of it; either may be missing."""

    def __init__(self, cluster_dir: str, name: str, shown: "Facts | None") -> None:
        Unit.__init__(self, cluster_dir, name)
        self.service = name + ".service"
        self.shown = shown
        self.ended = read_json(self.path("ended.json"))

    def ours(self) -> bool:
        """Whether this supervisor made it: by the label that systemd shows, else by the record."""
        if self.shown is not None:
            return self.shown["labels"] is not None
        return (self.spec or {}).get("supervisor") == KIND

    def lives(self) -> bool:
        return is_live(self.shown) or self.held or bool(self.left())

    def left(self) -> "dict[int, int]":
        """{pid: start} of what lives of it, by its cgroup and by its marks."""
        found = self.remains()
        found.update(cgroup_members(self.service))
        return found

    def began(self) -> float:
        return float((self.spec or {}).get("at", 0.0))

    def facts(self, log_at: int = 0) -> "Facts":
        """What `systemd_records.py` reads; `log_at`: see `last_entries_at`. Env, and so secrets, are not in it."""
        live = is_live(self.shown)
        left = {} if live else self.left()
        over = not live and not left
        want_journal = over or self.ended is not None
        return {
            "unit": self.name,
            "spec": self.spec,
            "shown": self.shown,
            "here": self.here() or (self.spec is None and self.shown is not None),
            "ended": self.ended,
            "stop_asked": os.path.exists(self.path("stop.json")),
            "remains": [describe(pid) for pid in left],
            "started_at": started_at(self.shown) if live and self.shown else None,
            "journal": launch_journal(self.service, self.began(), EVIDENCE_LINES) if want_journal else None,
            "log_at": log_at,
        }


def started_at(shown: "Facts") -> "float | None":
    """Unix time of the main process's start, to a tenth: systemd gives the monotonic clock, which no locale formats."""
    text = shown["ExecMainStartTimestampMonotonic"]
    return round(time.time() - time.monotonic() + int(text) / 1e6, 1) if text.isdigit() and int(text) else None


def cgroup_members(service: str) -> "dict[int, int]":
    """{pid: start} of the processes in the unit's cgroup or below it, whatever the hierarchy (v1, v2, both)."""
    found = {}
    for pid in all_pids():
        try:
            with open("/proc/{}/cgroup".format(pid)) as file:
                inside = any(service in line.rstrip("\n").split("/") for line in file)
        except OSError:
            continue
        stat = stat_of(pid) if inside else None
        if stat is not None:
            found[pid] = stat.start
    return found
