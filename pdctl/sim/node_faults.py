"""Faults of a simulated node's SSH server, on command.

The commander writes `faults.json` into the node's directory and sends SIGUSR1; the node applies it and renames the
file to `faults.applied.json`, which is the acknowledgement. Each order replaces the one before. A frozen node is
SIGSTOP to its process, a dead one SIGKILL: those need no order.
"""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path

ORDER = "faults.json"
APPLIED = "faults.applied.json"


@dataclass(frozen=True, slots=True)
class Faults:
    """What is wrong with a node now. The default is a healthy one.

    `refuse`: the port is closed (sshd is dead; what was started lives on). `cut`: drop every connection, once.
    `banner`: text before the login. `noise`: text on stdout before every command's own (a chatty rc file).
    `delay_s`: every command starts so much later. `no_forwarding`: direct-tcpip is refused.
    `max_sessions`: channels per connection, as sshd's MaxSessions.
    """

    refuse: bool = False
    cut: bool = False
    banner: str = ""
    noise: str = ""
    delay_s: float = 0.0
    no_forwarding: bool = False
    max_sessions: int = 10


def parse_faults(text: str) -> Faults:
    """Faults from their JSON form. Raises ValueError for an unknown key or no JSON object."""
    raw = json.loads(text)
    known = {field.name for field in fields(Faults)}
    if not isinstance(raw, dict) or not known.issuperset(raw):
        raise ValueError(f"not a set of faults: {text!r}")
    return Faults(**raw)


def order_faults(root: Path, pid: int, faults: Faults, *, deadline_s: float = 5.0) -> None:
    """Put `faults` on the node with directory `root` and wait until they hold; blocking.

    Raises TimeoutError if the node does not answer, ProcessLookupError if it is gone.
    """
    written = root / f"{ORDER}.new"
    written.write_text(json.dumps(asdict(faults)))
    written.replace(root / ORDER)
    os.kill(pid, signal.SIGUSR1)
    end = time.monotonic() + deadline_s
    while (root / ORDER).exists():
        if time.monotonic() > end:
            raise TimeoutError(f"node {pid} did not take its faults within {deadline_s:g} s")
        time.sleep(0.01)


def take_order(root: Path) -> Faults | None:
    """The node's side: the faults that were ordered, acknowledged only by `acknowledge`; None if there are none."""
    try:
        return parse_faults((root / ORDER).read_text())
    except FileNotFoundError:
        return None


def acknowledge(root: Path) -> None:
    """The node's side: the order holds now."""
    (root / ORDER).replace(root / APPLIED)
