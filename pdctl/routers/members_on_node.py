"""The members file on the router's node: replaced as a whole, and read together with the registrar's state.

Payload: {"op": "write" | "read", "root": directory or null, "cluster", "epoch", "document": the file without `seq`}.
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


def read_text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def write(directory: str, document: "Facts") -> "Facts":
    """Replace the file, with the next `seq` of its epoch. Durable before the answer: a fence must survive a crash."""
    guard_epoch(directory, document["epoch"])
    path = os.path.join(directory, MEMBERS_FILE)
    with open(path + ".lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
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
        folder = os.open(directory, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    return {"epoch": document["epoch"], "seq": document["seq"]}


def main(payload: "Facts") -> "Facts":
    directory = cluster_dir(payload)
    if payload["op"] == "write":
        return write(directory, payload["document"])
    members = read_text(os.path.join(directory, MEMBERS_FILE))
    return {"members": members, "state": read_text(os.path.join(directory, STATE_FILE)), "now": time.time()}
