"""Node side, for every supervisor: the state directory, its lock, files that are never seen half-written, the ledger.

    <root>/.lock                     an flock on it serialises every mutation on the node
      <cluster>/ledger.json          {"generation": last one given out}, written before every start
      <cluster>/epoch                the highest lease epoch seen
      <cluster>/units/<unit>/        one directory per unit (process_on_node.py)
      <cluster>/logs/<unit>.<generation>.log   logs of forgotten launches

Python >= 3.6, stdlib only. This file is a fragment: `bundle.py` joins fragments into one program.
"""

import errno
import fcntl
import json
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Facts = dict[str, Any]
    Guard = Callable[[str], None]

RECOVERY_GAP = 1000  # past whatever was given out between the last trace that is left and the loss of the ledger
LOCK_WAIT_S = 20.0
LOGS_KEPT = 3  # per unit


class Refusal(Exception):
    """The node will not do it: `kind` for programs, `message` (the cause) and `hint` (the remedy) for people."""

    def __init__(self, kind: str, message: str, hint: str = "") -> None:
        Exception.__init__(self, message)
        self.kind = kind
        self.message = message
        self.hint = hint


def state_root(configured: "str | None") -> str:
    """The directory that holds `<cluster>/`: as configured, else the operator's own state directory (XDG)."""
    if configured:
        return os.path.abspath(os.path.expanduser(configured))
    base = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(base):  # the XDG specification: a relative path is to be ignored
        base = os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(base, "pdctl")


def read_text(path: str, default: str = "") -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return default


def boot_id() -> str:
    return read_text("/proc/sys/kernel/random/boot_id").strip()


def machine_id() -> str:
    return read_text("/etc/machine-id").strip() or "host:" + os.uname().nodename


def read_json(path: str) -> "dict[str, Any] | None":
    """The object in the file; None where there is no file, or no object in it (half-written, wiped, foreign)."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def sync_file(path: str) -> None:
    """Have a file, or a directory's names, on the disk before this returns."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    except OSError as error:  # some network file systems cannot
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)


def write_json(path: str, value: "dict[str, Any]", durable: bool = True) -> None:
    """Replace the file as a whole: a reader, or a crash, sees the old content or the new one. Raises OSError."""
    temporary = "{}.{}.tmp".format(path, os.getpid())
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            json.dump(value, file)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.rename(temporary, path)
    except OSError:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
    if durable:
        sync_file(os.path.dirname(path))


def entries(path: str) -> "list[str]":
    """Sorted names in a directory, without hidden ones; none where there is no directory.

    Raises OSError for one that may not be read: what cannot be seen is not absent.
    """
    try:
        return sorted(name for name in os.listdir(path) if not name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []


class Locked:
    """`with Locked(root)`: the one mutator on this state directory. Goes with the process, whatever ends it."""

    def __init__(self, root: str, wait_s: float = LOCK_WAIT_S) -> None:
        self.root = root
        self.wait_s = wait_s
        self.fd = -1

    def __enter__(self) -> "Locked":
        os.makedirs(self.root, mode=0o700, exist_ok=True)
        self.fd = os.open(os.path.join(self.root, ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        until = time.monotonic() + self.wait_s
        while True:
            try:
                fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return self
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES) or time.monotonic() > until:
                    os.close(self.fd)
                    raise Refusal(
                        "busy",
                        "another pdctl command has held {} for {:.0f} s".format(self.root, self.wait_s),
                        "wait for it, or look for a hung python3 on the node",
                    ) from None
            time.sleep(0.003)

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)


def generations_on_disk(cluster_dir: str) -> "list[int]":
    """Every generation that left a trace: units' records and the names of kept logs."""
    seen = []
    for unit in entries(os.path.join(cluster_dir, "units")):
        spec = read_json(os.path.join(cluster_dir, "units", unit, "spec.json")) or {}
        labels = spec.get("labels")
        generation = labels.get("generation") if isinstance(labels, dict) else None
        seen.append(generation if isinstance(generation, int) else 0)
    for name in entries(os.path.join(cluster_dir, "logs")):
        parts = name.split(".")
        if len(parts) > 2 and parts[-2].isdigit():
            seen.append(int(parts[-2]))
    return seen


def read_ledger(cluster_dir: str) -> "dict[str, Any] | None":
    """The ledger, or None where it cannot be trusted."""
    ledger = read_json(os.path.join(cluster_dir, "ledger.json"))
    generation = ledger.get("generation") if ledger else None
    whole = isinstance(generation, int) and not isinstance(generation, bool) and generation >= 0
    return ledger if whole else None


def take_generations(cluster_dir: str, count: int, also_seen: "list[int]") -> "dict[str, Any]":
    """Reserve `count` generations; they are on disk when this returns. Call it under `Locked`.

    Where the ledger is lost or damaged it goes on past every trace (`also_seen`: those of live processes) by
    RECOVERY_GAP instead of starting again at 1, which would hand out ports of running engines; it notes that it did.
    """
    path = os.path.join(cluster_dir, "ledger.json")
    os.makedirs(cluster_dir, mode=0o700, exist_ok=True)
    ledger = read_ledger(cluster_dir)
    if ledger is None:
        seen = generations_on_disk(cluster_dir) + also_seen
        ledger = {"generation": 0}
        if seen or os.path.exists(path):
            what = "damaged" if os.path.exists(path) else "missing"
            ledger["generation"] = max(seen or [0]) + RECOVERY_GAP
            ledger["note"] = "the ledger of generations was {}: it went on from {} at {}".format(
                what, ledger["generation"], time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            )
    first = ledger["generation"] + 1
    write_json(path, dict(ledger, generation=ledger["generation"] + count))
    return {"first": first, "note": ledger.get("note", "")}


def claim_generation(cluster_dir: str, generation: int, at_boot: bool = False) -> None:
    """Write down that `generation` is given out, before anything is started with it. Call it under `Locked`.

    The caller counts on from what `inspect` said (`whole`, or `fresh` and no unit); another ledger is mended by `take`
    first. A node that starts an engine again by itself (`at_boot`) counts past a controller that looked before.
    """
    ledger = read_ledger(cluster_dir) or {"generation": 0}
    booted = ledger.get("booted")
    if not at_boot and isinstance(booted, int) and generation <= booted:
        raise Refusal(
            "used",
            "generation {} was taken by an engine that the node started after its reboot".format(generation),
            "run `pdctl up` again: it counts on from there",
        )
    if generation > ledger["generation"] or at_boot:
        known = dict(ledger, generation=max(generation, ledger["generation"]))
        write_json(os.path.join(cluster_dir, "ledger.json"), dict(known, booted=generation) if at_boot else known)


def ledger_view(cluster_dir: str) -> "dict[str, Any]":
    """What `inspect` tells of the node itself."""
    ledger = read_ledger(cluster_dir)
    note = str(ledger.get("note", "")) if ledger else ""
    if ledger is None and os.path.exists(os.path.join(cluster_dir, "ledger.json")):
        note = "the ledger of generations is damaged; the next start goes on past every trace"
    epoch = read_text(os.path.join(cluster_dir, "epoch")).strip()
    traces = generations_on_disk(cluster_dir) if ledger is None else []
    return {
        "machine_id": machine_id(),
        "boot_id": boot_id(),
        "generation": ledger["generation"] if ledger else max([0, *traces]),
        "whole": ledger is not None,
        "fresh": not (ledger or traces or note),
        "epoch": int(epoch) if epoch.isdigit() else 0,
        "note": note,
        "place": place_of(cluster_dir),
    }


def place_of(path: str) -> str:
    """Which directory this is, whatever it is called from where: that of `path`, or the nearest above it that is there.

    With the boot id it tells one machine under two names from two machines that were installed from one image.
    """
    while True:
        try:
            found = os.stat(path)
        except OSError:
            if path in ("/", ""):
                return ""
            path = os.path.dirname(path)
            continue
        return "{}:{}:{}".format(path, found.st_dev, found.st_ino)


def keep_log(cluster_dir: str, unit: str, generation: int, log: str) -> None:
    """Move a launch's log to `<cluster>/logs/`, keep the last LOGS_KEPT of the unit."""
    logs = os.path.join(cluster_dir, "logs")
    os.makedirs(logs, mode=0o700, exist_ok=True)
    if os.path.exists(log):
        os.rename(log, os.path.join(logs, "{}.{}.log".format(unit, generation)))
    for _, name in kept_logs(cluster_dir, unit)[:-LOGS_KEPT]:
        os.unlink(os.path.join(logs, name))


def kept_logs(cluster_dir: str, unit: str) -> "list[tuple[int, str]]":
    """(generation, file name) of the unit's kept logs, oldest first."""
    found = []
    for name in entries(os.path.join(cluster_dir, "logs")):
        middle = name[len(unit) + 1 : -len(".log")]
        if name == "{}.{}.log".format(unit, middle) and middle.isdigit():
            found.append((int(middle), name))
    return sorted(found)


def perform(action: "Callable[[str, str, Facts, Guard], Facts]", request: "Facts", guard: "Guard") -> "Facts":
    """Run one action with what all have in common: private files, the state root, a full disk as a refusal.

    `guard(cluster_dir)` refuses an operator whose lease epoch is lower than one that the node has seen; actions call
    it under the lock. Where the request says `claim`, that is done before the action, whatever it is. Raises Refusal.
    """
    request["umask"] = os.umask(0o077)  # the engine gets the login's own back
    root = state_root(request["root"])
    try:
        if request.get("claim"):
            cluster_dir = os.path.join(root, request["cluster"])
            with Locked(root):
                os.makedirs(cluster_dir, mode=0o700, exist_ok=True)
                guard(cluster_dir)
        return action(root, request["cluster"], request, guard)
    except OSError as error:
        where = error.filename or root
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            cause, hint = "no space left for {}".format(where), "free some space on the node (df -h, df -i)"
        else:
            cause, hint = "{}: {}".format(where, error.strerror), "check owner and mode of the state directory"
        raise Refusal("disk", cause, hint) from None
