"""What every node program finds defined: `payload`, `reply`, `refuse`, `cluster_dir`, `guard_epoch`. Stdlib only,
Python 3.6.

`ssh.program` sends this file, then the program, then the call of its `main(payload)`, to `python3 -` on the node.
"""

import fcntl
import json
import os
import sys

TYPE_CHECKING = False  # typing itself, and traceback, cost a quarter of a short program's CPU
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    Facts = dict[str, Any]

NONCE = ""  # set by the line that `ssh.program` adds


def reply(answer: "Facts") -> "NoReturn":
    """Answer the controller and end the program."""
    text = json.dumps(answer)
    sys.stdout.flush()
    sys.stdout.buffer.write(("\n%s%s%s\n" % (NONCE, text, NONCE)).encode())
    sys.stdout.buffer.flush()
    raise SystemExit(0)


def refuse(kind: str, message: str, hint: str = "") -> "NoReturn":
    """Tell the controller why not, and end the program."""
    reply({"error": {"kind": kind, "message": message, "hint": hint}})


def cluster_dir(payload: "Facts") -> str:
    """Where the cluster's files lie: under the configured `root`, else in the login's state directory."""
    root = payload["root"]
    if not root:
        base = os.environ.get("XDG_STATE_HOME", "")
        if not os.path.isabs(base):  # the XDG specification: a relative path is to be ignored
            base = os.path.join("~", ".local", "state")
        root = os.path.join(base, "pdctl")
    return os.path.abspath(os.path.expanduser(os.path.join(root, payload["cluster"])))


def guard_epoch(state_dir: str, epoch: int) -> None:
    """Refuse where this node has seen a higher lease epoch; remember ours where it is higher.

    The number is in `state_dir`/epoch, replaced atomically under a lock, so the highest ever seen wins whatever the
    order in which two operators' programs run.
    """
    os.makedirs(state_dir, mode=0o755, exist_ok=True)
    path = os.path.join(state_dir, "epoch")
    with open(path + ".lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            with open(path) as file:
                seen = int(file.read() or 0)
        except FileNotFoundError:
            seen = 0
        except ValueError:
            refuse("state", "%s does not hold a number" % path, "find out what the last epoch was and write it there")
        if seen > epoch:
            refuse(
                "epoch",
                "another operator has taken over (epoch %d here, ours is %d)" % (seen, epoch),
                "look at what they did, then start again",
            )
        if seen < epoch:
            aside = "%s.%d" % (path, os.getpid())
            with open(aside, "w") as file:
                file.write("%d\n" % epoch)
                file.flush()
                os.fsync(file.fileno())
            os.rename(aside, path)


def call_main(main: "Callable[[Facts], Facts | None]", payload: "Facts") -> "NoReturn":
    """Run the program; what it returns is its reply, and an exception is one too."""
    try:
        answer = main(payload)
    except Exception as exc:
        import traceback

        where = traceback.extract_tb(exc.__traceback__)[-1]
        refuse("crash", "%s: %s (in %s, line %d)" % (type(exc).__name__, exc, where.name, where.lineno or 0))
    reply(answer or {})
