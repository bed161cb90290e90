"""The `process` supervisor on this machine, with real processes: what starts, stops, is seen and is refused."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from pdctl.errors import EpochRefused, InstanceError
from pdctl.model.unit import Restart, UnitSpec, UnitState, UnitStatus
from pdctl.ssh.local import LocalShell
from pdctl.supervisors.process import ProcessSupervisor
from tests.waiting import free_port, wait_until
from tests.wire.units import (
    CLUSTER,
    command_lines_holding,
    files_holding,
    living,
    open_to_others,
    python_unit,
    shell_unit,
)

pytestmark = pytest.mark.fleet

UNIT = "pdctl.t.n1.all.0"

# A leader and a worker that left its session; neither ends at SIGTERM.
STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
async def supervisor(root: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ProcessSupervisor]:
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


class TestLife:
    async def test_a_unit_starts_is_seen_with_its_labels_and_stops(self, supervisor: ProcessSupervisor) -> None:
        port = free_port()
        spec = replace(shell_unit("sleep 600"), ports=(port,))
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
        report = await supervisor.stop("pdctl.t.nobody", epoch=1)
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
        await log_says(root, f"from-{root}/t/units/{UNIT}/files")

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
        assert found.started_at is not None and found.started_at - found.exit.at < 0.5
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
        assert report.gone and report.took_s < 2
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
        assert 0.5 <= report.took_s < 4
        assert living(UNIT) == []
        after = await seen(supervisor)
        assert after.state is UnitState.EXITED
        assert after.exit is not None and after.exit.forced and after.exit.leftovers == 1

    async def test_stop_now_does_not_wait_for_the_budget(self, supervisor: ProcessSupervisor, root: Path) -> None:
        await supervisor.start(python_unit(STUBBORN, stop_s=600), epoch=1)
        await log_says(root, "ready\nready")
        report = await supervisor.stop(UNIT, epoch=1, now=True)
        assert report.gone and report.forced and report.took_s < 3
        assert living(UNIT) == []

    async def test_stop_now_overtakes_a_stop_that_waits(self, supervisor: ProcessSupervisor, root: Path) -> None:
        await supervisor.start(python_unit(STUBBORN, stop_s=5), epoch=1)
        await log_says(root, "ready\nready")
        patient = asyncio.create_task(supervisor.stop(UNIT, epoch=1))

        async def stopping() -> bool:
            return (await seen(supervisor)).state is UnitState.STOPPING

        await wait_until(stopping, 5, what="the first stop has begun")
        report = await supervisor.stop(UNIT, epoch=1, now=True)
        assert report.gone and report.took_s < 3
        assert (await patient).gone

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
            async with supervisor.logs("pdctl.t.nobody", lines=5, follow=True) as lines:
                await anext(aiter(lines))
