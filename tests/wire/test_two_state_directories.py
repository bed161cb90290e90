"""Two logins, or two simulated nodes, may have units of one name on one machine: neither touches the other's."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import psutil
import pytest

from pdctl.model.unit import UnitState
from pdctl.ssh.local import LocalShell
from pdctl.supervisors.process import ProcessSupervisor
from tests.wire.units import CLUSTER, UNIT, shell_unit

pytestmark = pytest.mark.fleet


@pytest.fixture
async def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[ProcessSupervisor, ...]]:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    async with AsyncExitStack() as stack:
        made = []
        for name in ("one", "two"):
            supervisor = ProcessSupervisor(LocalShell("n1"), CLUSTER, root=str(tmp_path / name), stop_budget_s=5.0)
            stack.push_async_callback(supervisor.stop, UNIT, epoch=9, now=True)
            made.append(supervisor)
        yield tuple(made)


async def test_a_start_leaves_a_unit_of_the_same_name_elsewhere_alone(two: tuple[ProcessSupervisor, ...]) -> None:
    one, other = two
    before = await one.start(shell_unit("sleep 600"), epoch=1)
    await other.start(shell_unit("sleep 600"), epoch=1)
    await other.stop(UNIT, epoch=1, now=True)
    await other.forget([UNIT], epoch=1)
    (seen,) = (await one.inspect()).units
    assert (seen.state, seen.pid) == (UnitState.RUNNING, before.pid)


async def test_generations_of_a_new_state_directory_start_at_one(two: tuple[ProcessSupervisor, ...]) -> None:
    one, other = two
    await one.start(shell_unit("sleep 600", generation=7), epoch=1)
    assert await other.take_generations(1, epoch=1) == 1


async def test_processes_without_records_are_still_found_by_their_own_state_directory(
    two: tuple[ProcessSupervisor, ...], tmp_path: Path
) -> None:
    one, _ = two
    lost = await one.start(shell_unit("sleep 600", generation=7), epoch=1)
    (tmp_path / "one" / CLUSTER / "units").rename(tmp_path / "records-lost")
    generation = await one.take_generations(1, epoch=1)
    assert generation > 7
    await one.start(shell_unit("sleep 600", generation=generation), epoch=1)
    assert lost.pid is not None
    assert not psutil.pid_exists(lost.pid)
