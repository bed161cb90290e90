"""Node side: print a unit's log as JSON lines, {"t": text}: the end of it, then what comes, until stdin closes.

A new launch of the unit is a new file: what is left of the old one is printed first. Where the unit has no directory
any more, its last kept log is shown.
"""

import json
import os
import select
import sys

from pdctl.supervisors.node_state_on_node import kept_logs, state_root
from pdctl.supervisors.unit_log_on_node import READ_BYTES, tail_offset

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

POLL_S = 0.1
LOST = b"[pdctl] some lines were given up before they were read: ..."
LINE_BYTES = 8192  # a longer line (a progress bar without end) is cut into pieces


class Follower:
    """Reads one log file onwards from an offset; `rest` is the line that has no end yet."""

    def __init__(self, path: str, lines: int) -> None:
        self.fd = os.open(path, os.O_RDONLY)
        self.offset = tail_offset(path, lines) if lines >= 0 else 0  # a negative count: from the beginning
        self.rest = b""

    def same_file(self, path: str) -> bool:
        try:
            return os.path.samestat(os.stat(path), os.fstat(self.fd))
        except OSError:
            return True  # forgotten, or between two launches: stay with what there is

    def take(self) -> "list[bytes]":
        """Whole lines that were added since."""
        if os.fstat(self.fd).st_size < self.offset:  # truncated in place, see unit_log_on_node.py
            self.offset = 0
        data = os.pread(self.fd, READ_BYTES, self.offset)
        if data.startswith(b"\0"):  # the front was given up before we had read it
            self.rest = b""
            self.offset = os.lseek(self.fd, self.offset, os.SEEK_DATA)
            data = LOST + os.pread(self.fd, READ_BYTES, self.offset)
            self.offset -= len(LOST)
        self.offset += len(data)
        lines = (self.rest + data).split(b"\n")
        self.rest = lines.pop()
        if len(self.rest) > LINE_BYTES:
            lines.append(self.rest)
            self.rest = b""
        return lines if data else []

    def finish(self) -> "list[bytes]":
        """Everything up to the present end, an unfinished line included."""
        lines = []
        before = -1
        while before != self.offset:
            before = self.offset
            lines += self.take()
        if self.rest:
            lines.append(self.rest)
            self.rest = b""
        return lines


def show(lines: "list[bytes]") -> None:
    for line in lines:
        for at in range(0, max(1, len(line)), LINE_BYTES):
            piece = line[at : at + LINE_BYTES].decode("utf-8", "replace")
            sys.stdout.write(json.dumps({"t": piece}) + "\n")
    sys.stdout.flush()


def log_path(cluster_dir: str, unit: str) -> str:
    current = os.path.join(cluster_dir, "units", unit, "log")
    if os.path.exists(current):
        return current
    kept = kept_logs(cluster_dir, unit)
    return os.path.join(cluster_dir, "logs", kept[-1][1]) if kept else current


def stdin_closed(wait_s: float) -> bool:
    """Wait; whether our side of the connection has gone."""
    return bool(select.select([0], [], [], wait_s)[0]) and not os.read(0, 4096)


def follow(request: "dict[str, Any]") -> None:
    """Print the tail; with `follow`, go on until stdin closes. Prints {"missing": true} where there is no log."""
    cluster_dir = os.path.join(state_root(request["root"]), request["cluster"])
    path = log_path(cluster_dir, request["unit"])
    current = os.path.join(cluster_dir, "units", request["unit"], "log")
    if not os.path.exists(path):
        sys.stdout.write(json.dumps({"missing": True}) + "\n")
        sys.stdout.flush()
        return
    follower = Follower(path, request["lines"])
    if not request["follow"]:
        show(follower.finish())
        return
    while True:
        lines = follower.take()
        show(lines)
        if not lines:
            if not follower.same_file(current):
                show(follower.finish())
                os.close(follower.fd)
                follower = Follower(current, -1)
            elif stdin_closed(POLL_S):
                return
