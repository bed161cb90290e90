"""A program: owns one lab's namespaces for as long as its stdin is open, and leaves nothing of them.

    python -IS keeper.py DIRECTORY CGROUP INIT_SCRIPT

It prints the pid of the lab's PID 1 once that is ready, and ends when stdin does: the owner closed the pipe, or died,
however it died. Every process of the lab lives below that PID 1, every mount and link in its namespaces, so killing it
takes all of them; what is left to remove are the lab's cgroups and DIRECTORY. If this program is killed itself, the
kernel kills PID 1 after it (parent-death signals).
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_CGROUPS_GONE_S = 10.0


def main() -> None:
    directory, cgroup, script = sys.argv[1:4]
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    namespaces = ["--pid", "--mount", "--net", "--ipc", "--uts", "--mount-proc"]
    unshare = subprocess.Popen(
        ["unshare", "--fork", "--kill-child", *namespaces, "/bin/sh", script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        preexec_fn=_die_with_parent,
    )
    try:
        assert unshare.stdout is not None
        if unshare.stdout.readline() == b"ready\n":
            sys.stdout.write(Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children").read_text().strip() + "\n")
            sys.stdout.flush()
            while os.read(0, 4096):
                pass
    finally:
        unshare.kill()
        unshare.wait()
        remove_cgroups(cgroup)
        shutil.rmtree(directory, ignore_errors=True)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def remove_cgroups(name: str) -> None:
    """Remove the cgroups of that name from every hierarchy, once their processes are gone."""
    end = time.monotonic() + _CGROUPS_GONE_S
    root = Path("/sys/fs/cgroup")
    for top in (root / name, *root.glob(f"*/{name}")):
        while top.exists() and time.monotonic() < end:
            try:
                for directory, _, _ in os.walk(top, topdown=False):
                    Path(directory).rmdir()
            except OSError:  # a process in it is still dying
                time.sleep(0.02)


if __name__ == "__main__":
    main()
