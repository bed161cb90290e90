"""One command measured from outside: wall time, CPU and memory of all its processes, and on how many hosts it ran."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

COMMAND = ("cat", "/proc/loadavg")
ANSWER = re.compile(rb"\d+\.\d\d \d+\.\d\d \d+\.\d\d \d+/\d+ \d+")
"""What every host says to COMMAND, once."""

LOOK_EVERY_S = 0.5
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Measured:
    """One run. `answers`: hosts that ran the command. `peak_bytes`: resident memory of all the client's processes
    together, pages that they share counted in each (looked at twice a second); at least its largest process' peak."""

    wall_s: float
    cpu_s: float
    peak_bytes: int
    answers: int
    exit_code: int
    said: str = ""


def measure(argv: Sequence[str], environment: Mapping[str, str], directory: Path, limit_s: float) -> Measured:
    """Run `argv` to its end, killed with its process group after `limit_s`. CPU is that of it and its awaited
    children (wait4), so a background ControlMaster is not in it."""
    output = directory / "output"
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(output), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    began = time.monotonic()
    pid = os.posix_spawnp(argv[0], list(argv), environment, file_actions=actions, setpgroup=0)
    try:
        peak_bytes = watch(pid, began + limit_s)
    except BaseException:
        kill(pid)
        os.waitpid(pid, 0)
        raise
    _, status, used = os.wait4(pid, 0)
    wall_s = time.monotonic() - began
    text = output.read_bytes()
    return Measured(
        wall_s=wall_s,
        cpu_s=used.ru_utime + used.ru_stime,
        peak_bytes=max(peak_bytes, used.ru_maxrss * 1024),
        answers=len(ANSWER.findall(text)),
        exit_code=os.waitstatus_to_exitcode(status),
        said=text[-2000:].decode(errors="replace"),
    )


def watch(pid: int, deadline: float) -> int:
    """Wait for the end (not reaping it) and return the largest memory seen; kills at `deadline` (time.monotonic)."""
    peak_bytes = 0
    ended = os.pidfd_open(pid)
    try:
        while not select.select([ended], [], [], LOOK_EVERY_S)[0]:
            peak_bytes = max(peak_bytes, sum(resident_bytes(one) for one in tree(pid)))
            if time.monotonic() > deadline:
                kill(pid)
    finally:
        os.close(ended)
    return peak_bytes


def kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def tree(pid: int) -> Iterator[int]:
    """A process and its descendants; /proc's own list of children costs far less than a look at every process."""
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in children:
        yield from tree(int(child))


def resident_bytes(pid: int) -> int:
    """0 for a process that has gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0
