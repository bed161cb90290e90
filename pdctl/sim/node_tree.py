"""Own a whole process tree, so that nothing of it can outlive its owner. Linux only.

Three facts of Linux make that hold (prctl(2)):

- a subreaper inherits every orphan below it, double-forked `setsid` daemons included, so the tree never frays;
- a pipe reads end-of-file when its last writer is gone, however that writer died;
- the parent-death signal can be any signal. SIGCONT wakes a node that somebody froze with SIGSTOP just when its
  fleet dies: then it sees the end of its lifeline like every other node.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
PR_SET_CHILD_SUBREAPER = 36


def prctl(option: int, argument: int | bytes) -> None:
    """One prctl(2) call. Raises OSError where the kernel refuses it."""
    libc = ctypes.CDLL(None, use_errno=True)
    value = ctypes.c_char_p(argument) if isinstance(argument, bytes) else ctypes.c_ulong(argument)
    if libc.prctl(ctypes.c_int(option), value, ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def become_subreaper() -> None:
    """Inherit every orphan below this process. Not inherited by children."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def wake_on_parent_death() -> None:
    """Get SIGCONT when the parent dies.

    The kernel means the *thread* that forked this process: the parent has to fork from its main thread.
    """
    prctl(PR_SET_PDEATHSIG, signal.SIGCONT)


def set_name(name: str) -> None:
    """What `ps -o comm` shows; the kernel keeps 15 bytes."""
    prctl(PR_SET_NAME, name.encode()[:15])


def close_other_descriptors(keep: Iterable[int]) -> None:
    """Close every descriptor but 0-2 and `keep`: a forked child must not hold its siblings' lifelines open."""
    kept = {0, 1, 2, *keep}
    for entry in list(Path("/proc/self/fd").iterdir()):
        descriptor = int(entry.name)
        if descriptor not in kept:
            try:
                os.close(descriptor)
            except OSError:  # the descriptor that listed the directory
                continue


def parents() -> dict[int, int]:
    """Every live process's parent. A zombie counts as ended, unless it has threads that go on without the first."""
    found: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_bytes()
        except OSError:  # it ended meanwhile
            continue
        fields = stat[stat.rindex(b")") + 2 :].split()  # proc(5) from field 3; the name may hold spaces and brackets
        state, parent, threads = fields[0], int(fields[1]), int(fields[17])
        if state not in (b"Z", b"X") or threads > 1:
            found[int(entry.name)] = parent
    return found


def descendants(root: int, *, spare: Iterable[int] = (), table: dict[int, int] | None = None) -> list[int]:
    """Every live process below `root`, parents first; the trees of `spare` left out."""
    children: dict[int, list[int]] = {}
    for pid, parent in (parents() if table is None else table).items():
        children.setdefault(parent, []).append(pid)
    spared = set(spare)
    found: list[int] = []
    todo = [root]
    while todo:
        below = [pid for pid in children.get(todo.pop(), []) if pid not in spared]
        found += below
        todo += below
    return found


def kill_descendants(*, spare: Iterable[int] = (), deadline_s: float = 10.0) -> list[int]:
    """SIGKILL everything below this process, again and again until a walk finds nothing; blocking.

    A walk can miss what is forked while it runs, but not twice: its parent is dead then and, as this process is a
    subreaper, the child hangs below us. Returns what still lives at the deadline (stuck in the kernel, or another
    user's), normally nothing.
    """
    spared = tuple(spare)
    end = time.monotonic() + deadline_s
    while True:
        alive = descendants(os.getpid(), spare=spared)
        if not alive or time.monotonic() > end:
            return alive
        for pid in alive:
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
        time.sleep(0.005)
