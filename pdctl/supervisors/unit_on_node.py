"""Node side: one unit of the `process` supervisor as its directory and /proc show it.

`<cluster>/units/<unit>/` holds spec.json (labels, argv, ports: nothing secret), keeper.json, stop.json, exit.json,
`alive` (locked as long as a starter or a keeper lives), `log`, `files/`. Every launch has a directory of its own,
which appears whole by one rename. This side collects; `unit_records.py` on the controller says what the facts mean.
"""

import fcntl
import os

from pdctl.supervisors.node_state_on_node import boot_id, entries, keep_log, machine_id, read_json
from pdctl.supervisors.proc_on_node import describe, is_alive, remains_of
from pdctl.supervisors.unit_log_on_node import tail_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Facts = dict[str, Any]

EVIDENCE_LINES = 20  # of a log, shown with how a unit ended


class Unit:
    """One unit's directory, read once. `spec` None: its record cannot be read."""

    def __init__(self, cluster_dir: str, name: str) -> None:
        self.cluster_dir = cluster_dir
        self.name = name
        self.directory = os.path.join(cluster_dir, "units", name)
        self.read()

    def read(self) -> None:
        self.spec = whole(read_json(self.path("spec.json")), "labels")
        self.incarnation = (self.spec or {}).get("incarnation")
        self.keeper = whole(read_json(self.path("keeper.json")), "keeper", "child")
        self.held = self.is_held()
        self.exit = read_json(self.path("exit.json"))  # after `held`: it is written before the lock is let go

    def path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def is_held(self) -> bool:
        """Whether a starter or a keeper lives."""
        try:
            fd = os.open(self.path("alive"), os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(fd)
        return False

    def main(self) -> "tuple[int, int] | None":
        """The recorded (pid, start) of the main process; of this boot, or it means nothing."""
        child = (self.keeper or {}).get("child") or {}
        return (child["pid"], child["start"]) if child and self.here() else None

    def main_alive(self) -> bool:
        main = self.main()
        return main is not None and is_alive(main[0], main[1])

    def here(self) -> bool:
        spec = self.spec or {}
        return spec.get("boot_id") == boot_id() and spec.get("machine_id") == machine_id()

    def elsewhere(self) -> bool:
        """Whether another machine wrote the record: a state directory on a shared file system."""
        return self.spec is not None and self.spec.get("machine_id") != machine_id()

    def kept_by(self) -> str:
        """The supervisor that made it; several may share a state directory, and names are unique in it."""
        return str((self.spec or {}).get("supervisor", "process"))

    def remains(self) -> "dict[int, int]":
        """{pid: start} of what lives though no keeper does; costs a walk over /proc where that can be."""
        ended = self.exit is not None and not self.exit.get("survivors")
        if self.held or ended or (self.spec is not None and not self.here()):
            return {}
        return remains_of(self.name, self.cluster_dir, self.incarnation, self.main())

    def lives(self) -> bool:
        return self.held or bool(self.remains())

    def generation(self) -> int:
        labels = (self.spec or {}).get("labels", {})
        return int(labels.get("generation", 0))

    def facts(self) -> "Facts":
        """What `unit_records.py` reads. Env, and so secrets, are not in any of it."""
        remains = self.remains()
        over = not self.held and self.exit is None
        return {
            "unit": self.name,
            "spec": self.spec,
            "keeper": self.keeper,
            "held": self.held,
            "here": self.here(),
            "main_alive": self.main_alive(),
            "stop_asked": os.path.exists(self.path("stop.json")),
            "remains": [describe(pid) for pid in remains],
            "exit": self.exit,
            "tail": tail_lines(self.path("log"), EVIDENCE_LINES) if over and not remains else [],
        }


def whole(record: "Facts | None", *parts: str) -> "Facts | None":
    """The record, or None where a part that others rely on is no object: foreign, or written by hand."""
    return record if record and all(isinstance(record.get(part), dict) for part in parts) else None


def units_in(cluster_dir: str) -> "list[Unit]":
    units = os.path.join(cluster_dir, "units")
    return [Unit(cluster_dir, name) for name in entries(units) if os.path.isdir(os.path.join(units, name))]


def discard(unit: Unit) -> None:
    """Remove an ended unit's directory; its log stays in `<cluster>/logs/`."""
    keep_log(unit.cluster_dir, unit.name, unit.generation(), unit.path("log"))
    remove_tree(unit.directory)


def remove_tree(path: str) -> None:
    for directory, folders, files in os.walk(path, topdown=False):
        for name in files:
            os.unlink(os.path.join(directory, name))
        for name in folders:
            folder = os.path.join(directory, name)
            (os.unlink if os.path.islink(folder) else os.rmdir)(folder)
    if os.path.isdir(path):
        os.rmdir(path)
