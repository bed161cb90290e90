"""What tests/real starts ends with its owner: engines of a gigabyte each must not outlive a run that was killed."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from tests.fleet.site import alive
from tests.waiting import wait_until

OWNED = Path(__file__).parents[1] / "real/owned.py"
# Holds the pipe, as pytest does; says the pid; then waits to be killed.
OWNER = """
import subprocess, sys, time
one = subprocess.Popen([sys.executable, *sys.argv[1:]], stdin=subprocess.PIPE)
print(one.pid, flush=True)
time.sleep(60)
"""
# A leader that ignores SIGTERM, with a worker in a session of its own.
STUBBORN = "trap '' TERM; setsid sleep 61 & setsid sleep 62 & wait; wait"
ENDS_S = 10.0


async def test_its_owner_is_killed() -> None:
    command = [sys.executable, "-c", OWNER, str(OWNED), "sh", "-c", STUBBORN]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as owner:  # noqa: ASYNC220
        assert owner.stdout is not None
        keeper = psutil.Process(int(await asyncio.to_thread(owner.stdout.readline)))
        await wait_until(lambda: len(keeper.children(recursive=True)) == 3, ENDS_S, what="leader and workers run")
        family = [keeper.pid, *(process.pid for process in keeper.children(recursive=True))]
        owner.kill()
    await wait_until(lambda: not any(map(alive, family)), ENDS_S, what="all have ended")


async def test_the_command_ends_and_leaves_a_worker() -> None:
    command = [sys.executable, str(OWNED), "sh", "-c", "setsid sleep 63 & trap 'exit 3' TERM; echo $!; wait"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as keeper:  # noqa: ASYNC220
        assert keeper.stdout is not None
        worker = int(await asyncio.to_thread(keeper.stdout.readline))
        keeper.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(keeper.wait, ENDS_S) == 3
    await wait_until(lambda: not alive(worker), ENDS_S, what="the worker was swept")
