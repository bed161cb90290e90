"""A look that claims a lease epoch: nothing of a former holder happens on the node once it has answered."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sys
from pathlib import Path

import pytest

from pdctl.errors import EpochRefused
from pdctl.ssh.local import LocalShell
from pdctl.supervisors.process import ProcessSupervisor
from tests.wire.units import CLUSTER


@pytest.fixture
def supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProcessSupervisor:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    return ProcessSupervisor(LocalShell("n1"), CLUSTER, root=str(tmp_path / "state"), stop_budget_s=5.0)


async def test_a_claim_shuts_out_the_former_holder(supervisor: ProcessSupervisor) -> None:
    assert (await supervisor.inspect(claim=3)).epoch == 3
    with pytest.raises(EpochRefused):
        await supervisor.take_generations(1, epoch=2)
    with pytest.raises(EpochRefused):
        await supervisor.inspect(claim=2)
    assert await supervisor.take_generations(1, epoch=3) == 1


async def test_a_look_without_a_claim_needs_no_epoch_and_leaves_nothing(
    supervisor: ProcessSupervisor, tmp_path: Path
) -> None:
    assert (await supervisor.inspect()).epoch == 0
    assert not (tmp_path / "state").exists()


async def test_a_claim_waits_for_the_change_under_way(supervisor: ProcessSupervisor, tmp_path: Path) -> None:
    await supervisor.inspect(claim=1)
    lock = os.open(tmp_path / "state" / ".lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)  # as a start of the former holder does until it is done
    claiming = asyncio.create_task(supervisor.inspect(claim=2))
    reading = await supervisor.inspect()
    assert reading.epoch == 1
    assert not claiming.done()
    os.close(lock)
    assert (await claiming).epoch == 2
