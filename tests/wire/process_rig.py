"""What the tests of the `process` supervisor share: one on this machine, and how to look at what it did."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from pdctl.model.unit import UnitState, UnitStatus
from pdctl.ssh.local import LocalShell
from pdctl.supervisors.process import ProcessSupervisor
from tests.waiting import wait_until
from tests.wire.units import CLUSTER, UNIT

# A leader and a worker that left its session; neither ends at SIGTERM.
STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
print("ready", flush=True)
time.sleep(600)
"""

# A leader that drains at SIGTERM and then ends its worker, and a worker that is of no use any more once it is told.
DRAINING = """
import os, signal, sys, time
worker = os.fork()
if worker == 0:
    signal.signal(signal.SIGTERM, lambda *_: (print("worker lost", flush=True), os._exit(1)))
    print("worker ready", flush=True)
    time.sleep(600)
def drain(*_):
    time.sleep(0.3)
    os.kill(worker, signal.SIGKILL)
    os.waitpid(worker, 0)
    print("drained", flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, drain)
print("leader ready", flush=True)
time.sleep(600)
"""


@asynccontextmanager
async def supervising(root: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ProcessSupervisor]:
    """A supervisor of this machine with its state below `root`; what still runs at the end is stopped."""
    # This Python as the node's python3 (a version manager's shim costs more than what it starts), or another one:
    # PDCTL_TEST_NODE_PATH=/opt/python3.6/bin runs the node side with the oldest that is supported.
    place = os.environ.get("PDCTL_TEST_NODE_PATH", str(Path(sys.executable).parent))
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    made = ProcessSupervisor(LocalShell("n1"), CLUSTER, root=str(root), stop_budget_s=5.0)
    yield made
    for unit in (await made.inspect()).units:
        await made.stop(unit.labels.unit, epoch=1000, now=True)


async def seen(supervisor: ProcessSupervisor, unit: str = UNIT) -> UnitStatus:
    return next(status for status in (await supervisor.inspect()).units if status.labels.unit == unit)


async def ended(supervisor: ProcessSupervisor, unit: str = UNIT) -> UnitStatus:
    """The unit, once it has ended."""

    async def over() -> bool:
        return (await seen(supervisor, unit)).state in (UnitState.EXITED, UnitState.FAILED)

    await wait_until(over, 10, what=f"{unit} ends")
    return await seen(supervisor, unit)


async def log_says(root: Path, text: str, unit: str = UNIT) -> None:
    path = root / CLUSTER / "units" / unit / "log"
    await wait_until(lambda: text in path.read_text(), 10, what=f"{text!r} in the log")


def keeper_of(root: Path, unit: str = UNIT) -> psutil.Process:
    record = json.loads((root / CLUSTER / "units" / unit / "keeper.json").read_text())
    return psutil.Process(record["keeper"]["pid"])


def kill_keeper(root: Path) -> None:
    keeper = keeper_of(root)
    keeper.kill()
    psutil.wait_procs([keeper], timeout=5)
