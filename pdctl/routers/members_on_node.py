"""The members file on the router's node: replaced as a whole, and read together with the registrar's state.

Payload: {"op": "write" | "read" | "clear", "root": directory or null, "cluster", "epoch", "document": the file without
`seq`}.
`clear` removes both files, and what the registrar keeps beside its state; the highest epoch stays known on the node.
Reply to `read`: {"members": text, "state": text, "now": Unix time}, with "" for a file that is not there.
"""

import fcntl
import json
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pdctl.ssh.prelude_on_node import cluster_dir, guard_epoch, refuse

    Facts = dict[str, Any]

MEMBERS_FILE = "members.json"
STATE_FILE = "registrar.json"
KEPT_FILE = STATE_FILE + ".applied"  # the registrar's own copy of the last good members file


def read_text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


class Locked:
    """`with Locked(directory) as its_descriptor`: the one writer of the files in it."""

    def __init__(self, directory: str) -> None:
        self.fd = os.open(directory, os.O_RDONLY)

    def __enter__(self) -> int:
        fcntl.flock(self.fd, fcntl.LOCK_EX)
        return self.fd

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)


def write(directory: str, document: "Facts") -> "Facts":
    """Replace the file, with the next `seq` of its epoch. Durable before the answer: a fence must survive a crash."""
    guard_epoch(directory, document["epoch"])
    path = os.path.join(directory, MEMBERS_FILE)
    with Locked(directory) as folder:
        try:
            before = json.loads(read_text(path))
            epoch, seq = before["epoch"], before["seq"]
        except (ValueError, KeyError, TypeError):
            epoch, seq = 0, 0
        if epoch > document["epoch"]:
            message = "the members file is of epoch %d, ours is %d" % (epoch, document["epoch"])
            refuse("epoch", message, "another operator has taken over: look at what they did, then start again")
        document["seq"] = seq + 1
        aside = "%s.%d" % (path, os.getpid())
        with open(aside, "w", encoding="utf-8") as file:
            json.dump(document, file)
            file.flush()
            os.fsync(file.fileno())
        os.rename(aside, path)
        os.fsync(folder)
    return {"epoch": document["epoch"], "seq": document["seq"]}


def clear(directory: str, epoch: int) -> "Facts":
    """Remove the files of a cluster that is gone: its registrar does not run any more."""
    guard_epoch(directory, epoch)
    with Locked(directory):
        for name in os.listdir(directory):
            if name.split(".tmp")[0] in (MEMBERS_FILE, STATE_FILE, KEPT_FILE):
                os.unlink(os.path.join(directory, name))
    return {}


def main(payload: "Facts") -> "Facts":
    directory = cluster_dir(payload)
    if payload["op"] == "write":
        return write(directory, payload["document"])
    if payload["op"] == "clear":
        return clear(directory, payload["epoch"])
    members = read_text(os.path.join(directory, MEMBERS_FILE))
    return {"members": members, "state": read_text(os.path.join(directory, STATE_FILE)), "now": time.time()}
