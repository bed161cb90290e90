"""The cluster's record on the lease node: the last lines of its journal, the last applied inventory, and the holds.

Stdlib only, Python >= 3.6. Payload: {"root": directory or null, "cluster", "lines"}. Reply: {"lines": [text, ...],
"applied": text or null, "holds": text or null, "lease": text or null}, no lines and null where nothing was ever
recorded; the lease only as long as somebody has it.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pdctl.ssh.prelude_on_node import cluster_dir

    Facts = dict[str, Any]

MOST_BYTES = 4 << 20


def tail(path: str, lines: int) -> "list[str]":
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - MOST_BYTES))
            found = file.read().decode("utf-8", "replace").splitlines()
            found = found[1:] if size > MOST_BYTES else found  # its first line may have been cut
    except FileNotFoundError:
        return []
    return found[-lines:] if lines else []


def whole(path: str) -> "str | None":
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return None


def is_locked(path: str) -> bool:
    """Whether somebody has a flock on the file, by the kernel's list: to try the lock would take it for a moment."""
    try:
        number = os.stat(path).st_ino
        with open("/proc/locks") as file:
            return any(" FLOCK " in line and (":%d " % number) in line for line in file)
    except OSError:
        return False


def main(payload: "Facts") -> "Facts":
    directory = cluster_dir(payload)
    lines = tail(os.path.join(directory, "journal.ndjson"), payload["lines"])
    records = {name: whole(os.path.join(directory, name + ".json")) for name in ("applied", "holds")}
    held = is_locked(os.path.join(directory, "lease.lock"))
    return dict(records, lines=lines, lease=whole(os.path.join(directory, "lease.json")) if held else None)
