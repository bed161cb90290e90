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

MOST_BYTES = 8 << 20


def journal_files(directory: str) -> "list[Any]":
    """The journal's files, newest first, opened before any is read: one that is rotated meanwhile is not read twice."""
    found = []
    for number in range(100):
        name = "journal.%d.ndjson" % number if number else "journal.ndjson"
        try:
            found.append(open(os.path.join(directory, name), "rb"))
        except FileNotFoundError:
            if number:
                break
    known = set()
    files = []
    for file in found:
        inode = os.fstat(file.fileno()).st_ino
        if inode not in known:
            files.append(file)
        known.add(inode)
    return files


def tail(directory: str, lines: int) -> "list[str]":
    """The journal's last lines, oldest first, over all its files; so many bytes of it at most."""
    found = []  # type: list[str]
    left = MOST_BYTES
    for file in journal_files(directory):
        with file:
            if len(found) >= lines or left <= 0:
                continue
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - left))
            text = file.read(left).decode("utf-8", "replace").splitlines()
            found = (text[1:] if size > left else text) + found  # its first line may have been cut
            left -= size
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
    lines = tail(directory, payload["lines"])
    records = {name: whole(os.path.join(directory, name + ".json")) for name in ("applied", "holds")}
    held = is_locked(os.path.join(directory, "lease.lock"))
    return dict(records, lines=lines, lease=whole(os.path.join(directory, "lease.json")) if held else None)
