"""Namespaces and processes as Linux shows them: entering a network, commands for another process's namespaces."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

_CLONE_NEWNET = 0x40000000


@contextlib.contextmanager
def inside_network(pid: int) -> Iterator[None]:
    """Puts this thread into the network namespace of `pid`, and back at the end.

    Sockets made meanwhile belong to it for good, and so do processes and threads started from this thread. The rest of
    this process stays where it is.
    """
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(there)
        finally:
            os.close(there)
        try:
            yield
        finally:
            _setns(home)
    finally:
        os.close(home)


def _setns(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(ctypes.c_int(descriptor), ctypes.c_int(_CLONE_NEWNET)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"setns: {os.strerror(code)}")


def enter(pid: int, *namespaces: str) -> list[str]:
    """The beginning of a command line that runs the rest in these namespaces of `pid`; without any, in all of them
    and with its root directory."""
    chosen = [f"--{name}" for name in namespaces] or ["--all", "--root", "--wd=/"]
    return ["nsenter", f"--target={pid}", *chosen, "--"]


def children(pid: int) -> list[int]:
    """The children of a single-threaded process; none of one that is gone."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def namespace_pid(pid: int) -> int | None:
    """The pid of a process in its own PID namespace: 1 for an init."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[-1]) for line in lines if line.startswith("NSpid:")), None)


def descendant_init(pid: int) -> int | None:
    """The nearest process below `pid` that is PID 1 of a namespace of its own."""
    level = children(pid)
    while level:
        for child in level:
            if namespace_pid(child) == 1:
                return child
        level = [below for child in level for below in children(child)]
    return None


def same_pid_namespace(init: int) -> list[int]:
    """Every process of the PID namespace that `init` heads, and of no deeper one."""
    wanted = _link(init, "ns/pid")
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    return [pid for pid in pids if wanted and _link(pid, "ns/pid") == wanted]


def program(pid: int) -> str:
    """The path of the program that a process runs, as its own root shows it; "" for one that is gone."""
    return _link(pid, "exe")


def _link(pid: int, name: str) -> str:
    try:
        return str(Path(f"/proc/{pid}/{name}").readlink())
    except OSError:
        return ""
