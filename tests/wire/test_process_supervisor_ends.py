"""The `process` supervisor on this machine: how units end, who may read their secrets, and what their logs keep."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from pdctl.errors import InstanceError
from pdctl.model.unit import UnitSpec, UnitState, unit_name
from pdctl.supervisors.process import ProcessSupervisor
from tests.waiting import patient, wait_until
from tests.wire.process_rig import DRAINING, STUBBORN, ended, kill_keeper, log_says, seen, supervising
from tests.wire.units import (
    CLUSTER,
    UNIT,
    command_lines_holding,
    files_holding,
    living,
    open_to_others,
    python_unit,
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


class TestHowItEnded:
    async def test_an_engine_that_exits_at_once_shows_status_and_last_lines(
        self, supervisor: ProcessSupervisor
    ) -> None:
        script = "for i in $(seq 30); do echo line $i; done; printf 'CUDA \\033[31merror'; exit 9"
        await supervisor.start(shell_unit(script), epoch=1)
        found = await ended(supervisor)
        assert found.state is UnitState.FAILED and found.pid is None
        assert found.exit is not None and found.exit.cause == "exit status 9" and not found.exit.requested
        assert found.exit.last_lines == (*(f"line {i}" for i in range(12, 31)), "CUDA error")

    async def test_sigterm_ignored_and_a_worker_in_its_own_session(
        self, supervisor: ProcessSupervisor, root: Path
    ) -> None:
        await supervisor.start(python_unit(STUBBORN, stop_s=0.5), epoch=1)
        await log_says(root, "ready\nready")
        report = await supervisor.stop(UNIT, epoch=1)
        assert (report.gone, report.forced, report.leftovers) == (True, True, 1)
        assert 0.5 <= report.took_s < patient(4)
        assert living(UNIT) == []
        after = await seen(supervisor)
        assert after.state is UnitState.EXITED
        assert after.exit is not None and after.exit.forced and after.exit.leftovers == 1

    @pytest.mark.parametrize("keeper", ["lives", "killed"])
    async def test_a_stop_leaves_workers_alone_until_their_leader_has_drained(
        self, supervisor: ProcessSupervisor, root: Path, keeper: str
    ) -> None:
        await supervisor.start(python_unit(DRAINING), epoch=1)
        for who in ("leader", "worker"):
            await log_says(root, f"{who} ready")
        if keeper == "killed":
            kill_keeper(root)
        report = await supervisor.stop(UNIT, epoch=1)
        assert (report.gone, report.forced, report.leftovers) == (True, False, 0)
        log = (root / CLUSTER / "units" / UNIT / "log").read_text()
        assert "drained" in log and "worker lost" not in log

    async def test_stop_now_does_not_wait_for_the_budget(self, supervisor: ProcessSupervisor, root: Path) -> None:
        await supervisor.start(python_unit(STUBBORN, stop_s=600), epoch=1)
        await log_says(root, "ready\nready")
        report = await supervisor.stop(UNIT, epoch=1, now=True)
        assert report.gone and report.forced and report.took_s < patient(3)
        assert living(UNIT) == []

    async def test_stop_now_overtakes_a_stop_that_waits(self, supervisor: ProcessSupervisor, root: Path) -> None:
        await supervisor.start(python_unit(STUBBORN, stop_s=60), epoch=1)
        await log_says(root, "ready\nready")
        unhurried = asyncio.create_task(supervisor.stop(UNIT, epoch=1))

        async def stopping() -> bool:
            return (await seen(supervisor)).state is UnitState.STOPPING

        await wait_until(stopping, 5, what="the first stop has begun")
        report = await supervisor.stop(UNIT, epoch=1, now=True)
        assert report.gone and report.took_s < patient(3)
        assert (await unhurried).gone

    async def test_leader_killed_alone_its_workers_are_swept_and_the_cause_is_shown(
        self, supervisor: ProcessSupervisor, root: Path
    ) -> None:
        started = await supervisor.start(python_unit(STUBBORN), epoch=1)
        await log_says(root, "ready\nready")
        assert started.pid is not None and len(living(UNIT)) == 2
        os.kill(started.pid, signal.SIGKILL)
        found = await ended(supervisor)
        assert found.state is UnitState.FAILED
        assert found.exit is not None and found.exit.cause == "killed by SIGKILL" and found.exit.leftovers == 1
        assert living(UNIT) == []

    async def test_keeper_killed_the_engine_lives_on_and_can_be_stopped(
        self, supervisor: ProcessSupervisor, root: Path
    ) -> None:
        started = await supervisor.start(python_unit(STUBBORN, stop_s=0.3), epoch=1)
        await log_says(root, "ready\nready")
        kill_keeper(root)
        assert await seen(supervisor) == started
        assert await supervisor.start(python_unit(STUBBORN, stop_s=0.3), epoch=1) == started
        with pytest.raises(InstanceError, match="GPU 0 is held"):
            await supervisor.start(shell_unit("sleep 600", "n1.all.1"), epoch=1)

        report = await supervisor.stop(UNIT, epoch=1)

        assert (report.gone, report.forced, report.leftovers) == (True, True, 1)
        assert living(UNIT) == []
        assert (await seen(supervisor)).state is UnitState.EXITED

    async def test_keeper_and_leader_killed_the_workers_are_named_and_swept_by_the_next_start(
        self, supervisor: ProcessSupervisor, root: Path
    ) -> None:
        started = await supervisor.start(python_unit(STUBBORN), epoch=1)
        await log_says(root, "ready\nready")
        assert started.pid is not None
        kill_keeper(root)
        os.kill(started.pid, signal.SIGKILL)
        (worker,) = [process.pid for process in living(UNIT) if process.pid != started.pid]
        found = await ended(supervisor)
        assert found.state is UnitState.FAILED
        assert found.exit is not None and f"pid {worker}" in found.exit.cause
        await supervisor.start(shell_unit("sleep 600", generation=2), epoch=1)
        assert worker not in {process.pid for process in living(UNIT)}

    async def test_a_pid_that_belongs_to_somebody_else_now_is_never_signalled(
        self, supervisor: ProcessSupervisor, root: Path
    ) -> None:
        started = await supervisor.start(shell_unit("sleep 600"), epoch=1)
        assert started.pid is not None
        kill_keeper(root)
        os.kill(started.pid, signal.SIGKILL)
        await ended(supervisor)
        stranger = await asyncio.create_subprocess_exec("sleep", "600", start_new_session=True)
        try:
            path = root / CLUSTER / "units" / UNIT / "keeper.json"
            record = json.loads(path.read_text())
            record["keeper"]["pid"] = record["child"]["pid"] = stranger.pid  # the start times stay the old ones
            path.write_text(json.dumps(record))
            assert (await seen(supervisor)).state is UnitState.FAILED
            assert (await supervisor.stop(UNIT, epoch=1)).gone
            assert psutil.Process(stranger.pid).status() != psutil.STATUS_ZOMBIE
        finally:
            stranger.kill()
            await stranger.wait()

    async def test_reboot(self, supervisor: ProcessSupervisor, root: Path) -> None:
        await supervisor.start(shell_unit("echo loading; sleep 600"), epoch=1)
        await log_says(root, "loading")
        kill_keeper(root)
        for process in living(UNIT):
            process.kill()
        path = root / CLUSTER / "units" / UNIT / "spec.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "boot_id": "the one before"}))
        found = await seen(supervisor)
        assert found.state is UnitState.FAILED
        assert found.exit is not None and found.exit.cause == "gone with a reboot"
        assert found.exit.last_lines == ("loading",)
        report = await supervisor.stop(UNIT, epoch=1)
        assert report.existed and report.gone

    @pytest.mark.parametrize("damage", ["", '{"labels": 3}'])
    async def test_half_written_record_is_unknown_and_can_be_stopped(
        self, supervisor: ProcessSupervisor, root: Path, damage: str
    ) -> None:
        await supervisor.start(shell_unit("sleep 600"), epoch=1)
        await supervisor.start(shell_unit("sleep 600", "n1.all.1", gpus=(1,)), epoch=1)
        (root / CLUSTER / "units" / UNIT / "spec.json").write_text(damage)
        view = await supervisor.inspect()
        assert [(unit.labels.instance, unit.state) for unit in view.units] == [
            ("n1.all.0", UnitState.UNKNOWN),
            ("n1.all.1", UnitState.RUNNING),
        ]
        assert (await supervisor.stop(UNIT, epoch=1)).gone
        assert living(UNIT) == []
        await supervisor.forget([UNIT], epoch=1)

    @pytest.mark.parametrize("after_s", [0.02, 0.05, 0.08, 0.12, 0.2])
    async def test_connection_lost_while_a_start_runs_and_the_same_start_again(
        self, supervisor: ProcessSupervisor, after_s: float
    ) -> None:
        spec = shell_unit("sleep 600")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(after_s):
                await supervisor.start(spec, epoch=1)
        again = await supervisor.start(spec, epoch=1)
        assert again.state is UnitState.RUNNING
        leaders = [process.pid for process in living(UNIT) if os.getsid(process.pid) == process.pid]
        assert leaders == [again.pid]

    async def test_an_interrupted_start_leaves_nothing_in_the_way(
        self, supervisor: ProcessSupervisor, root: Path
    ) -> None:
        half = root / CLUSTER / "units" / f".{UNIT}" / "files"
        half.mkdir(parents=True)
        (half / "conf").write_text("half")
        assert (await supervisor.inspect()).units == ()
        started = await supervisor.start(shell_unit("sleep 600"), epoch=1)
        assert started.state is UnitState.RUNNING


class TestSecrets:
    POISON = "s3cr3t-poison-0f7c"

    def unit(self, script: str) -> UnitSpec:
        return replace(shell_unit(script), secret_env={"HF_TOKEN": self.POISON})

    async def test_a_secret_reaches_the_engine_and_no_file_no_command_line_no_answer(
        self, supervisor: ProcessSupervisor, root: Path
    ) -> None:
        spec = self.unit('test -n "$HF_TOKEN" && echo has it; sleep 600')
        started = await supervisor.start(spec, epoch=1)
        await log_says(root, "has it")
        view = await supervisor.inspect()
        await supervisor.stop(UNIT, epoch=1)
        after = await supervisor.inspect()
        assert files_holding(root, self.POISON) == []
        assert command_lines_holding(self.POISON) == []
        assert not [shown for shown in (started, view, after, spec) if self.POISON in repr(shown)]

    async def test_everything_in_the_state_directory_is_private(
        self, supervisor: ProcessSupervisor, root: Path
    ) -> None:
        await supervisor.start(replace(self.unit("sleep 600"), files={"conf": "x"}), epoch=1)
        assert open_to_others(root) == []

    async def test_the_search_for_secrets_does_find_one_that_leaks(
        self, supervisor: ProcessSupervisor, root: Path
    ) -> None:
        await supervisor.start(self.unit('echo "$HF_TOKEN"; exec sh -c "sleep 600 # $HF_TOKEN"'), epoch=1)
        await log_says(root, self.POISON)
        assert files_holding(root, self.POISON) == [root / CLUSTER / "units" / UNIT / "log"]
        await wait_until(lambda: command_lines_holding(self.POISON), 5, what="the leak in a command line")


class TestLogs:
    async def test_following_shows_the_tail_then_what_comes_then_the_next_launch(
        self, supervisor: ProcessSupervisor, tmp_path: Path
    ) -> None:
        gate = tmp_path / "gate"
        script = f"echo one; echo two; echo three; until [ -e {gate} ]; do sleep 0.02; done; echo 'four\033[0m'; exit 1"
        await supervisor.start(shell_unit(script), epoch=1)
        async with asyncio.timeout(20), supervisor.logs(UNIT, lines=2, follow=True) as lines:
            texts = (line.text async for line in lines)
            assert [await anext(texts), await anext(texts)] == ["two", "three"]
            gate.touch()
            assert await anext(texts) == "four"
            await ended(supervisor)
            await supervisor.start(shell_unit("echo reborn; sleep 600", generation=2), epoch=1)
            assert await anext(texts) == "reborn"

    async def test_a_log_past_its_cap_is_trimmed_under_a_running_engine_and_a_follower(
        self, supervisor: ProcessSupervisor, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cap = 128 << 10
        monkeypatch.setattr("pdctl.supervisors.unit_records.LOG_CAP_BYTES", cap)
        script = 'i=0; while :; do i=$((i+1)); echo "$i $(printf %0120d 0)"; [ $((i % 50)) = 0 ] && sleep 0.02; done'
        await supervisor.start(shell_unit(script), epoch=1)
        log = root / CLUSTER / "units" / UNIT / "log"

        async with asyncio.timeout(30), supervisor.logs(UNIT, lines=1000, follow=True) as lines:
            expected = 1
            async for line in lines:
                assert int(line.text.split()[0]) == expected
                expected += 1
                found = log.stat()
                if found.st_blocks * 512 < found.st_size:
                    break
        assert expected > 500

    async def test_a_unit_without_a_log(self, supervisor: ProcessSupervisor) -> None:
        with pytest.raises(InstanceError, match="n1 has no log of it"):
            async with supervisor.logs(unit_name(CLUSTER, "nobody"), lines=5, follow=True) as lines:
                await anext(aiter(lines))
