"""Start commands and learn how they end, in a process that is also everybody's last parent (a subreaper).

asyncio's own child watchers wait for single pids and would fight with a reaper that takes any. So nothing here uses
asyncio's subprocesses: every child is waited for in one place, those we started are told apart by pid, and the rest,
adopted orphans, are only reaped.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

OnExit = Callable[[int], None]
"""Called with the exit status, or minus the signal's number, once."""


class Children:
    """The one that waits. `start` and the reaping both run in the event loop, so no exit can come before its entry."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._started: dict[int, tuple[subprocess.Popen[bytes], OnExit]] = {}

    def watch(self) -> None:
        """Begin to reap on SIGCHLD. Call from the main thread."""
        self._loop.add_signal_handler(signal.SIGCHLD, self._reap)

    def start(
        self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, on_exit: OnExit
    ) -> subprocess.Popen[bytes]:
        """Start `argv` in its own session with three unbuffered pipes. Raises OSError if it cannot be started."""
        child = subprocess.Popen(
            argv,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            cwd=cwd,
            start_new_session=True,
        )
        self._started[child.pid] = (child, on_exit)
        return child

    def _reap(self) -> None:
        while True:
            try:
                pid, raw = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            entry = self._started.pop(pid, None)
            if entry is None:
                continue
            child, on_exit = entry
            child.returncode = os.waitstatus_to_exitcode(raw)  # so that Popen never waits for a reused pid
            on_exit(child.returncode)
