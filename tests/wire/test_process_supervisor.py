"""The `process` supervisor on this machine, with real processes: what starts, stops, is seen and is refused."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from pdctl.errors import EpochRefused, InstanceError
from pdctl.model.unit import Restart, UnitState, unit_name
from pdctl.ssh.local import LocalShell
from pdctl.supervisors.process import ProcessSupervisor
from tests.waiting import free_port, patient, wait_until
from tests.wire.process_rig import ended, log_says, seen, supervising
from tests.wire.units import (
    CLUSTER,
    UNIT,
    files_holding,
    living,
    shell_unit,
)

pytestmark = pytest.mark.fleet


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
async def supervisor(root: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ProcessSupervisor]:
    async with supervising(root, monkeypatch) as made:
        yield made


class TestLife:
    async def test_a_unit_starts_is_seen_with_its_labels_and_stops(self, supervisor: ProcessSupervisor) -> None:
        port = free_port()
        spec = replace(shell_unit("exec sleep 600"), ports=(port,))
        started = await supervisor.start(spec, epoch=1)
        assert (started.state, started.labels) == (UnitState.RUNNING, spec.labels)
        assert started.endpoint == f"127.0.0.1:{port}"
        assert await seen(supervisor) == started
        assert started.pid in {process.pid for process in living(UNIT)}

        report = await supervisor.stop(UNIT, epoch=1)

        assert (report.existed, report.gone, report.forced, report.leftovers) == (True, True, False, 0)
        assert living(UNIT) == []
        after = await seen(supervisor)
        assert after.state is UnitState.EXITED
        assert after.exit is not None and after.exit.cause == "stopped"

    async def test_starting_the_same_launch_twice_changes_nothing(self, supervisor: ProcessSupervisor) -> None:
        spec = shell_unit("sleep 600")
        first = await supervisor.start(spec, epoch=1)
        assert await supervisor.start(spec, epoch=1) == first

    async def test_both_of_two_simultaneous_starts_get_the_same_process(self, supervisor: ProcessSupervisor) -> None:
        spec = shell_unit("sleep 600")
        one, other = await asyncio.gather(supervisor.start(spec, epoch=1), supervisor.start(spec, epoch=1))
        assert one.pid == other.pid

    async def test_stopping_what_is_not_there_is_a_success(self, supervisor: ProcessSupervisor) -> None:
        report = await supervisor.stop(unit_name(CLUSTER, "nobody"), epoch=1)
        assert (report.existed, report.gone) == (False, True)

    async def test_files_and_env_reach_the_engine_with_their_place_filled_in(
        self, supervisor: ProcessSupervisor, root: Path
    ) -> None:
        spec = replace(
            shell_unit('. "$CONF"; echo "$SAID"; umask; sleep 600'),
            env={"CONF": "{unit_dir}/conf"},
            files={"conf": "SAID=from-{unit_dir}"},
        )
        await supervisor.start(spec, epoch=1)
        await log_says(root, f"from-{root}/{CLUSTER}/units/{UNIT}/files")

    async def test_forgetting_leaves_only_logs_ledger_and_epoch(
        self, supervisor: ProcessSupervisor, root: Path
    ) -> None:
        first = await supervisor.take_generations(2, epoch=1)
        for generation in (first, first + 1):
            await supervisor.start(shell_unit(f"echo launch {generation}", generation=generation), epoch=1)
            await ended(supervisor)
        await supervisor.forget([UNIT], epoch=1)
        assert (await supervisor.inspect()).units == ()
        left = sorted(str(path.relative_to(root / CLUSTER)) for path in files_holding(root / CLUSTER, ""))
        assert left == ["epoch", "epoch.lock", "ledger.json", f"logs/{UNIT}.1.log", f"logs/{UNIT}.2.log"]
        async with supervisor.logs(UNIT, lines=5, follow=False) as lines:
            assert [line.text async for line in lines] == ["launch 2"]

    async def test_a_living_unit_is_not_forgotten(self, supervisor: ProcessSupervisor) -> None:
        await supervisor.start(shell_unit("sleep 600"), epoch=1)
        with pytest.raises(InstanceError, match="still lives"):
            await supervisor.forget([UNIT], epoch=1)

    async def test_a_router_restarts_within_half_a_second_and_keeps_why_it_ended(
        self, supervisor: ProcessSupervisor
    ) -> None:
        spec = shell_unit("sleep 600", restart=Restart.ALWAYS)
        first = await supervisor.start(spec, epoch=1)
        assert first.pid is not None
        os.kill(first.pid, signal.SIGKILL)
        found = first

        async def is_back() -> bool:
            nonlocal found
            found = await seen(supervisor)
            return found.pid not in (None, first.pid)

        await wait_until(is_back, 5, what="the restart")
        assert (found.state, found.restarts) == (UnitState.RUNNING, 1)
        assert found.incarnation != first.incarnation
        assert found.exit is not None and found.exit.cause == "killed by SIGKILL"
        assert found.started_at is not None and found.started_at - found.exit.at < patient(0.5)
        assert (await supervisor.stop(UNIT, epoch=1)).gone
        assert living(UNIT) == []

    async def test_a_router_that_crashes_at_once_backs_off_and_can_be_stopped(
        self, supervisor: ProcessSupervisor
    ) -> None:
        await supervisor.start(shell_unit("exit 3", restart=Restart.ALWAYS), epoch=1)

        async def crashed_twice() -> bool:
            return (await seen(supervisor)).restarts >= 2

        await wait_until(crashed_twice, 10, what="two restarts")
        found = await seen(supervisor)
        assert found.state is UnitState.RUNNING
        assert found.exit is not None and found.exit.cause == "exit status 3"
        report = await supervisor.stop(UNIT, epoch=1)
        assert report.gone and report.took_s < patient(2)
        assert (await seen(supervisor)).state is UnitState.EXITED


class TestRefusals:
    async def test_missing_program(self, supervisor: ProcessSupervisor) -> None:
        spec = replace(shell_unit(""), argv=("/no/such/vllm", "serve"))
        with pytest.raises(InstanceError, match="cannot run /no/such/vllm: No such file") as caught:
            await supervisor.start(spec, epoch=1)
        assert caught.value.hint
        after = await seen(supervisor)
        assert after.state is UnitState.FAILED
        assert after.exit is not None and "No such file" in after.exit.cause

    async def test_missing_path_names_it_and_leaves_nothing(self, supervisor: ProcessSupervisor) -> None:
        spec = replace(shell_unit("sleep 600"), paths=("/tmp", "/no/such/model"))
        with pytest.raises(InstanceError, match=r"missing on the node: /no/such/model$"):
            await supervisor.start(spec, epoch=1)
        assert (await supervisor.inspect()).units == ()

    async def test_taken_port_names_its_owner(self, supervisor: ProcessSupervisor) -> None:
        with socket.socket() as owner:
            owner.bind(("127.0.0.1", 0))
            owner.listen()
            port = owner.getsockname()[1]
            with pytest.raises(InstanceError, match=rf"port {port} is taken by pid {os.getpid()} \(.*pytest") as caught:
                await supervisor.start(replace(shell_unit("sleep 600"), ports=(port,)), epoch=1)
        assert caught.value.hint

    async def test_an_address_that_is_not_the_nodes(self, supervisor: ProcessSupervisor) -> None:
        spec = replace(shell_unit("sleep 600"), address="192.0.2.1", ports=(free_port(),))
        with pytest.raises(InstanceError, match=r"192.0.2.1 is no address of this node"):
            await supervisor.start(spec, epoch=1)

    async def test_gpus_held_by_another_unit_of_whatever_cluster(
        self, supervisor: ProcessSupervisor, root: Path
    ) -> None:
        other = ProcessSupervisor(LocalShell("n1"), "other", root=str(root), stop_budget_s=5.0)
        await other.start(shell_unit("sleep 600", "x.all.0", gpus=(2, 3), cluster="other"), epoch=1)
        assert (await supervisor.inspect()).others == ("pdctl.other.x.all.0",)
        with pytest.raises(InstanceError, match=r"GPU 3 is held by pdctl.other.x.all.0"):
            await supervisor.start(shell_unit("sleep 600", gpus=(3, 4)), epoch=1)
        await other.stop("pdctl.other.x.all.0", epoch=1, now=True)
        await supervisor.start(shell_unit("sleep 600", gpus=(3, 4)), epoch=1)

    async def test_another_generation_of_a_living_unit(self, supervisor: ProcessSupervisor) -> None:
        await supervisor.start(shell_unit("sleep 600"), epoch=1)
        with pytest.raises(InstanceError, match="generation 1 of it still lives"):
            await supervisor.start(shell_unit("sleep 600", generation=2), epoch=1)

    async def test_a_generation_runs_once(self, supervisor: ProcessSupervisor) -> None:
        await supervisor.start(shell_unit("exit 7"), epoch=1)
        await ended(supervisor)
        with pytest.raises(InstanceError, match="generation 1 has already run"):
            await supervisor.start(shell_unit("exit 7"), epoch=1)
        assert (await supervisor.start(shell_unit("exit 7", generation=2), epoch=1)).labels.generation == 2

    async def test_an_overtaken_operator_changes_nothing(self, supervisor: ProcessSupervisor) -> None:
        spec = shell_unit("sleep 600")
        first = await supervisor.take_generations(1, epoch=7)
        running = await supervisor.start(spec, epoch=7)
        for attempt in (
            supervisor.start(shell_unit("sleep 600", "n1.all.1", gpus=(1,)), epoch=6),
            supervisor.stop(UNIT, epoch=6),
            supervisor.take_generations(1, epoch=6),
            supervisor.forget([UNIT], epoch=6),
        ):
            with pytest.raises(EpochRefused):
                await attempt
        view = await supervisor.inspect()
        assert (view.units, view.epoch, view.generation) == ((running,), 7, first)

    async def test_a_state_directory_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        supervisor = ProcessSupervisor(LocalShell("n1"), CLUSTER, root=str(tmp_path / "file"), stop_budget_s=5.0)
        with pytest.raises(InstanceError, match=r"/file/?.*: (File exists|Not a directory)"):
            await supervisor.start(shell_unit("sleep 600"), epoch=1)
