"""pyinfra's held connections, driven like fanout_pdctl_held.py. Runs in the tools' environment, not in pdctl's.

python benchmarks/fanout_pyinfra_held.py INVENTORY PARALLEL
"""

# ruff: noqa: E402 (gevent has to patch before anything else is imported)
from __future__ import annotations

from gevent import monkey  # type: ignore[import-untyped]

monkey.patch_all()

import json
import os
import re
import resource
import runpy
import sys
import time

import gevent
from pyinfra.api import Config, Inventory, State, StringCommand  # type: ignore[import-not-found]
from pyinfra.api.connect import connect_all  # type: ignore[import-not-found]

COMMAND = "cat /proc/loadavg"
ANSWER = re.compile(r"\d+\.\d\d \d+\.\d\d \d+\.\d\d \d+/\d+ \d+")


def main(inventory: str, parallel: int) -> None:
    """The first round logs in."""
    hosts = runpy.run_path(inventory)["hosts"]
    state = State(Inventory((hosts, {})), Config(PARALLEL=parallel))
    connected = False
    while sys.stdin.readline():
        wall_s, cpu_s = time.monotonic(), time.process_time()
        if not connected:
            connect_all(state)
            connected = True
        jobs = [state.pool.spawn(answer, host) for host in state.activated_hosts]
        gevent.joinall(jobs)
        print(
            json.dumps(
                {
                    "answers": sum(job.value is True for job in jobs),
                    "wall_s": time.monotonic() - wall_s,
                    "cpu_s": time.process_time() - cpu_s,
                    "resident_bytes": resident_bytes(),
                    "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                }
            ),
            flush=True,
        )


def answer(host: object) -> bool:
    done, output = host.run_shell_command(StringCommand(COMMAND))  # type: ignore[attr-defined]
    return bool(done and ANSWER.match(output.stdout))


def resident_bytes() -> int:
    with open("/proc/self/statm") as statm:  # noqa: PTH123 (nothing is patched there)
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
