"""What goes wrong on nodes with systemd, each test named after it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from pdctl.errors import CommandFailed, InstanceError
from pdctl.model.unit import UnitState
from pdctl.ssh.sudo import SudoShell
from pdctl.supervisors.systemd import SystemdSupervisor
from tests.lab.lab import Lab
from tests.lab.nspawn import Systemd
from tests.lab.site import Sudo
from tests.lab.systemd_rig import STUBBORN, Rig, cluster_of, operator, rig

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    async with Lab(1, Systemd()) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def on(lab: Lab, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with rig(lab, cluster_of(request.node.name)) as made:
        yield made


class TestState:
    async def test_reset_failed_never_leads_to_a_reused_generation(self, on: Rig) -> None:
        first = await on.supervisor.take_generations(1, epoch=1)
        spec = on.spec("exit 3", generation=first)
        await on.supervisor.start(spec, epoch=1)
        await on.ended()
        await on.host.run("systemctl", "reset-failed")
        found = await on.seen()
        assert found.state is UnitState.FAILED
        assert found.exit is not None and found.exit.cause == "exit status 3"
        with pytest.raises(InstanceError, match=f"generation {first} has already run"):
            await on.supervisor.start(spec, epoch=1)
        assert await on.supervisor.take_generations(1, epoch=1) == first + 1

    async def test_reboot(self, on: Rig, lab: Lab) -> None:
        """Its units are gone and say so; its generations and its logs are not."""
        first = await on.supervisor.take_generations(1, epoch=1)
        await on.supervisor.start(on.spec("echo loading; exec sleep 600", generation=first), epoch=1)
        await on.says("loading")
        await on.host.power_off()
        await on.host.power_on()
        async with rig(lab, on.cluster) as after:
            found = await after.seen()
            assert found.state is UnitState.FAILED
            assert found.exit is not None and found.exit.cause == "gone with a reboot"
            assert found.exit.last_lines == ("loading",)
            with pytest.raises(InstanceError, match="has already run"):
                await after.supervisor.start(on.spec("exec sleep 600", generation=first), epoch=1)
            assert await after.supervisor.take_generations(1, epoch=1) == first + 1
            report = await after.supervisor.stop(on.unit(), epoch=1)
            assert report.existed and report.gone

    async def test_state_directory_lost_while_a_unit_runs(self, on: Rig) -> None:
        first = await on.supervisor.take_generations(1, epoch=1)
        spec = on.spec("exec sleep 600", generation=first + 41)
        started = await on.supervisor.start(spec, epoch=1)
        await on.host.run("rm", "-r", f"/var/lib/pdctl/{on.cluster}")
        found = await on.seen()
        assert (found.labels, found.state, found.pid) == (spec.labels, UnitState.RUNNING, started.pid)
        assert await on.supervisor.take_generations(1, epoch=1) > first + 41
        assert (await on.supervisor.stop(on.unit(), epoch=1)).gone
        found = await on.seen()
        assert found.exit is not None and found.exit.cause == "killed by SIGTERM"
        await on.supervisor.forget([on.unit()], epoch=1)
        assert (await on.supervisor.inspect()).units == ()

    async def test_disk_full_while_the_env_file_is_written(self, on: Rig, lab: Lab) -> None:
        """A clean refusal, and nothing of it is left: no half-written secret either."""
        place = "/srv/tiny"
        await on.host.run("/bin/sh", "-c", f"mkdir {place} && mount -t tmpfs -o size=64k tiny {place}")
        async with operator(lab) as shell:
            small = SystemdSupervisor(SudoShell(shell), on.cluster, root=f"{place}/state", stop_budget_s=5.0)
            await small.take_generations(1, epoch=1)
            spec = replace(on.spec("exec sleep 600"), secret_env={"TOKEN": "poison" * 20000})
            with pytest.raises(InstanceError, match="no space left"):
                await small.start(spec, epoch=1)
            assert (await small.inspect()).units == ()
            left = await on.host.run("find", f"{place}/state/{on.cluster}/units")
            assert left.split() == [f"{place}/state/{on.cluster}/units"]
            assert (await small.start(on.spec("exec sleep 600"), epoch=1)).state is UnitState.RUNNING

    async def test_disk_full_while_a_unit_is_stopped(self, on: Rig, lab: Lab) -> None:
        place = "/srv/small"
        await on.host.run("/bin/sh", "-c", f"mkdir {place} && mount -t tmpfs -o size=64k small {place}")
        async with operator(lab) as shell:
            small = SystemdSupervisor(SudoShell(shell), on.cluster, root=f"{place}/state", stop_budget_s=5.0)
            await small.start(on.spec("exec sleep 600"), epoch=1)
            await on.host.run("/bin/sh", "-c", f"dd if=/dev/zero of={place}/full bs=1k count=64 2>/dev/null || true")
            assert (await small.stop(on.unit(), epoch=1)).gone


class TestReach:
    async def test_connection_lost_right_after_a_start_was_sent(self, on: Rig, lab: Lab) -> None:
        """Whether it took effect is not known; asked for again, there is one process of that launch, no more."""
        spec = on.spec("exec sleep 600")
        async with operator(lab) as shell:
            first = SystemdSupervisor(SudoShell(shell), on.cluster, stop_budget_s=5.0)
            sent = asyncio.create_task(first.start(spec, epoch=1))
            await asyncio.sleep(0.1)
            on.host.kill_sshd()
            with contextlib.suppress(Exception):
                await sent
        await on.host.run("systemctl", "restart", "ssh")
        async with rig(lab, on.cluster) as again:
            found = await again.supervisor.start(spec, epoch=2)
            assert found.state is UnitState.RUNNING
            assert await again.processes() == [found.pid]

    @pytest.mark.parametrize(
        ("sudo", "cause", "line"),
        [
            (Sudo.PASSWORD, "sudo wants a password", "ops ALL=(root) NOPASSWD: ALL"),
            (Sudo.REQUIRETTY, "requiretty", "Defaults:ops !requiretty"),
            (Sudo.NOTHING, "sudo", "ops ALL=(root) NOPASSWD: ALL"),
        ],
    )
    async def test_sudo_refuses(self, lab: Lab, sudo: Sudo, cause: str, line: str) -> None:
        """One line with what to add to sudoers, at once: nobody is asked for a password."""
        (host,) = await lab.add(1, Systemd(sudo=sudo))
        async with rig(lab, "t", host=host.name) as refused, asyncio.timeout(20):
            with pytest.raises(CommandFailed, match=cause) as caught:
                await refused.supervisor.inspect()
            assert caught.value.hint.endswith(line)
            with pytest.raises(CommandFailed, match=cause):
                async with refused.supervisor.logs("pdctl.t.router", lines=1, follow=True) as lines:
                    await anext(aiter(lines))
        async with rig(lab, "t", host=host.name, user="root") as root:
            assert (await root.supervisor.start(root.spec("exec sleep 600"), epoch=1)).state is UnitState.RUNNING


class TestLeftBehind:
    async def test_workers_that_systemd_lost_sight_of_are_named_and_swept_by_the_next_start(self, on: Rig) -> None:
        """Moved out of the cgroup (a badly behaved launcher): found by the marks in their environment."""
        started = await on.supervisor.start(on.python(STUBBORN), epoch=1)
        await on.says("ready\nready")
        (worker,) = [pid for pid in await on.processes() if pid != started.pid]
        await on.host.run(
            "/bin/sh",
            "-c",
            f"for f in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/*/cgroup.procs; do echo {worker} > $f && break; done",
        )
        assert started.pid is not None
        await on.kill(started.pid)
        found = await on.ended()
        assert found.state is UnitState.FAILED
        assert found.exit is not None and f"pid {worker}" in found.exit.cause
        with pytest.raises(InstanceError, match="GPU 0 is held"):
            await on.supervisor.start(on.spec("exec sleep 600", "n1.all.1"), epoch=1)
        await on.supervisor.start(on.spec("exec sleep 600", generation=2), epoch=1)
        assert worker not in await on.processes()
