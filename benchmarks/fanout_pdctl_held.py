"""pdctl's held connections, driven from stdin: one round on all nodes for every line, one JSON line in answer.

python benchmarks/fanout_pdctl_held.py INVENTORY
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from pathlib import Path

from fanout_measure import ANSWER, COMMAND, resident_bytes

from pdctl.control.opened import Opened, open_cluster
from pdctl.control.remote_exec import remote_exec

DEADLINE_S = 120.0


async def main(inventory: Path) -> None:
    """The first round logs in."""
    async with open_cluster(inventory) as opened:
        while await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(await round_trip(opened)), flush=True)


async def round_trip(opened: Opened) -> dict[str, float]:
    """One command on every node, as `pdctl exec` does it."""
    answers, wall_s, cpu_s = 0, time.monotonic(), time.process_time()
    async for result in remote_exec(
        opened.cluster.shells, list(opened.deployment.nodes), COMMAND, deadline_s=DEADLINE_S
    ):
        answers += result.status == 0 and ANSWER.match(result.stdout.encode()) is not None
    return {
        "answers": answers,
        "wall_s": time.monotonic() - wall_s,
        "cpu_s": time.process_time() - cpu_s,
        "resident_bytes": resident_bytes(os.getpid()),
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
