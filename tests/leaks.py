"""Finds processes that a test left behind: by an environment variable that children inherit, and by descent."""

from __future__ import annotations

import psutil

MARK = "PDCTL_TEST"


def descendants() -> set[psutil.Process]:
    """Every living process below this one."""
    return {child for child in psutil.Process().children(recursive=True) if _lives(child)}


def marked(nonce: str) -> set[psutil.Process]:
    """Every living process but this one whose environment carries the nonce, orphans included."""
    this = psutil.Process()
    return {process for process in psutil.process_iter() if process != this and _mark(process) == nonce}


def _mark(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARK)
    except (psutil.Error, OSError):  # gone, a zombie, or not ours to read
        return None


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def name(process: psutil.Process) -> str:
    """For the failure's text: pid and command line."""
    try:
        return f"{process.pid} {' '.join(process.cmdline())[:120]}"
    except psutil.Error:
        return str(process.pid)
