"""What goes wrong with containers, on a real docker; each test is named after the fault."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from pdctl.errors import CommandFailed, InstanceError
from pdctl.model.unit import UnitState
from pdctl.ssh.sudo import SudoShell
from pdctl.supervisors.systemd import SystemdSupervisor
from tests.lab.docker_image import IMAGE
from tests.lab.docker_rig import DockerRig, docker_lab, docker_rig
from tests.lab.lab import Lab
from tests.lab.systemd_rig import ORPHANING, STUBBORN, cluster_of, operator
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

FOREVER = "exec sleep 600"
SERVE = """
import socket, time
taken = socket.create_server(("127.0.0.1", 20321))
print("up", flush=True)
time.sleep(600)
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    async with docker_lab() as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def on(lab: Lab, request: pytest.FixtureRequest) -> AsyncIterator[DockerRig]:
    async with docker_rig(lab, cluster_of(request.node.name)) as made:
        yield made


async def test_sigterm_ignored_by_an_engine_with_setsid_workers(on: DockerRig) -> None:
    await on.supervisor.start(on.python(STUBBORN, stop_s=2.0), epoch=1)
    await on.says("ready")
    assert len(await on.processes()) == 3  # init, the leader, its worker
    report = await on.supervisor.stop(on.unit(), epoch=1)
    assert (report.gone, report.forced) == (True, True)
    assert 2.0 <= report.took_s < 6.0
    assert await on.processes() == []
    after = await on.seen()
    assert after.exit is not None
    assert (after.state, after.exit.forced, after.exit.requested) == (UnitState.EXITED, True, True)


async def test_stop_now_of_an_engine_that_ignores_sigterm(on: DockerRig) -> None:
    await on.supervisor.start(on.python(STUBBORN, stop_s=9.0), epoch=1)
    await on.says("ready")
    report = await on.supervisor.stop(on.unit(), epoch=1, now=True)
    assert (report.gone, report.forced) == (True, True)
    assert report.took_s < 4.0


async def test_leader_killed_alone(on: DockerRig) -> None:
    await on.supervisor.start(on.python(STUBBORN), epoch=1)
    await on.says("ready")
    await on.kill(await on.main())
    after = await on.ended()
    assert after.state is UnitState.FAILED
    assert after.exit is not None
    assert (after.exit.cause, after.exit.requested) == ("killed by SIGKILL", False)
    assert set(after.exit.last_lines) == {"ready"}
    assert await on.processes() == []


async def test_leader_that_ends_in_order_and_leaves_a_worker(on: DockerRig) -> None:
    await on.supervisor.start(on.python(ORPHANING), epoch=1)
    await on.says("ready")
    report = await on.supervisor.stop(on.unit(), epoch=1)
    assert (report.gone, report.forced) == (True, False)
    assert report.took_s < 4.0
    assert await on.processes() == []


async def test_engine_that_exits_at_once(on: DockerRig) -> None:
    await on.supervisor.start(on.spec("for n in $(seq 30); do echo line $n; done; exit 3"), epoch=1)
    after = await on.ended()
    assert after.state is UnitState.FAILED
    assert after.exit is not None
    assert (after.exit.status, after.exit.cause) == (3, "exit status 3")
    assert after.exit.last_lines == tuple(f"line {n}" for n in range(11, 31))


async def test_program_that_the_image_does_not_have(on: DockerRig) -> None:
    await on.supervisor.start(replace(on.spec(""), argv=("vllm", "serve", "m")), epoch=1)
    after = await on.ended()
    assert after.state is UnitState.FAILED
    assert after.exit is not None
    assert after.exit.status == 127
    assert "vllm" in after.exit.last_lines[-1] and "No such file" in after.exit.last_lines[-1]


async def test_port_taken(on: DockerRig) -> None:
    await on.supervisor.start(on.python(SERVE, "n1.all.1"), epoch=1)
    await on.says("up", "n1.all.1")
    with pytest.raises(InstanceError, match=r"port 20321 is taken by pid \d+ \(/usr/bin/python3"):
        await on.supervisor.start(replace(on.spec(FOREVER, gpus=(1,)), ports=(20321,)), epoch=1)
    assert on.unit() not in await on.names()


async def test_container_removed_by_hand(on: DockerRig) -> None:
    await on.supervisor.start(on.spec(FOREVER), epoch=1)
    await on.docker("rm", "--force", on.unit())
    after = await on.seen()
    assert after.state is UnitState.FAILED
    assert after.exit is not None and "its container is gone" in after.exit.cause
    report = await on.supervisor.stop(on.unit(), epoch=1)
    assert report.gone and not report.forced
    with pytest.raises(InstanceError, match="generation 1 has already run"):
        await on.supervisor.start(on.spec(FOREVER), epoch=1)
    assert (await on.supervisor.start(on.spec(FOREVER, generation=2), epoch=1)).state is UnitState.RUNNING
    await on.docker("rm", "--force", on.unit())
    await on.supervisor.forget([on.unit()], epoch=1)
    assert not [path for path in await on.files() if path.startswith("units/")]


async def test_start_that_was_cut_short_before_the_container_ran(on: DockerRig) -> None:
    spec = on.spec(FOREVER)
    labels = spec.labels
    words = {
        "cluster": on.cluster, "instance": labels.instance, "generation": "1", "spec_hash": labels.spec_hash,
        "kind": "engine", "pool": "decode", "role": "decode", "gpus": "0",
    }  # fmt: skip
    arguments = [f"--label=pdctl.{name}={value}" for name, value in words.items()]
    await on.docker("create", f"--name={on.unit()}", *arguments, IMAGE, "true")
    before = await on.seen()
    assert before.state is UnitState.FAILED
    assert before.exit is not None and before.exit.cause == "its start was cut short"
    assert (await on.supervisor.start(spec, epoch=1)).state is UnitState.RUNNING


async def test_unit_of_the_same_name_under_systemd(lab: Lab, on: DockerRig) -> None:
    async with operator(lab) as shell:
        other = SystemdSupervisor(SudoShell(shell), on.cluster, stop_budget_s=5.0)
        await other.start(on.spec(FOREVER), epoch=1)
        try:
            assert (await on.supervisor.inspect()).units == ()
            with pytest.raises(InstanceError, match="the `systemd` supervisor keeps a unit of this name"):
                await on.supervisor.start(on.spec(FOREVER, generation=2), epoch=1)
            report = await on.supervisor.stop(on.unit(), epoch=1)
            assert not report.existed
            assert (await other.inspect()).units[0].state is UnitState.RUNNING
        finally:
            await other.stop(on.unit(), epoch=1, now=True)
            await other.forget([on.unit()], epoch=1)


async def test_router_killed(on: DockerRig) -> None:
    await on.supervisor.start(on.router("echo up; " + FOREVER), epoch=1)
    first = await on.seen("router")
    killed = time.monotonic()
    await on.kill(await on.main("router"))

    async def back() -> bool:
        return "running" in await on.status_of(on.unit("router")) and (await on.shown("router"))["RestartCount"] == 1

    await wait_until(back, 5, what="the router is back")
    took_s = time.monotonic() - killed
    after = await on.seen("router")
    assert (after.state, after.restarts) == (UnitState.RUNNING, 1)
    assert after.incarnation != first.incarnation
    assert after.exit is not None and after.exit.cause == "ended, cause unknown"  # docker forgets it at a restart
    assert after.started_at is not None
    assert after.started_at - after.exit.at < 0.5
    assert took_s < 2.0  # it was asked by two commands a look


async def test_stopped_router_stays_stopped(on: DockerRig) -> None:
    await on.supervisor.start(on.router(FOREVER), epoch=1)
    report = await on.supervisor.stop(on.unit("router"), epoch=1)
    assert report.gone
    await on.host.run("systemctl", "restart", "docker")
    after = await on.seen("router")
    assert after.state is UnitState.EXITED


async def test_docker_stopped_and_started_again(on: DockerRig) -> None:
    await on.supervisor.start(on.spec(FOREVER), epoch=1)
    await on.supervisor.start(on.router(FOREVER), epoch=1)
    await on.host.run("systemctl", "stop", "docker.socket", "docker.service")
    with pytest.raises(CommandFailed, match="Cannot connect to the Docker daemon") as caught:
        await on.supervisor.inspect()
    assert "systemctl start docker" in caught.value.hint
    with pytest.raises(InstanceError, match="Cannot connect"):
        await on.supervisor.stop(on.unit(), epoch=1)
    await on.host.run("systemctl", "start", "docker.service")
    engine, router = await on.seen(), await on.seen("router")
    assert engine.state is UnitState.FAILED  # its ports would be used twice
    assert engine.exit is not None and not engine.exit.requested
    assert router.state is UnitState.RUNNING


async def test_node_rebooted(lab: Lab, on: DockerRig) -> None:
    first = await on.supervisor.take_generations(1, epoch=1)
    await on.supervisor.start(on.spec(FOREVER, generation=first), epoch=1)
    await on.host.power_off()
    await on.host.power_on()
    async with docker_rig(lab, on.cluster) as again:
        after = await again.seen()
        assert after.state is UnitState.FAILED
        assert after.exit is not None and after.exit.cause == "gone with a reboot"
        assert await again.supervisor.take_generations(1, epoch=1) == first + 1
        with pytest.raises(InstanceError, match="has already run"):
            await again.supervisor.start(again.spec(FOREVER, generation=first), epoch=1)
        assert (await again.supervisor.start(again.spec(FOREVER, generation=first + 1), epoch=1)).pid
