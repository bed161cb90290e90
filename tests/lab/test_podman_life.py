"""The docker supervisor on a host that has podman instead: the same code, where the two command lines agree."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from pdctl.errors import InstanceError
from pdctl.model.role import UnitKind
from pdctl.model.unit import UnitState
from pdctl.supervisors.docker_records import Containers
from tests.lab.docker_image import import_image
from tests.lab.docker_rig import ENGINE, DockerRig, docker_rig
from tests.lab.lab import Lab
from tests.lab.nspawn import Systemd
from tests.lab.systemd_rig import ORPHANING, STUBBORN, cluster_of
from tests.waiting import wait_until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

FOREVER = "trap 'exit 0' TERM; echo ready; while :; do sleep 1 & wait $!; done"
POISON = "s3cr3t-poison-9d02"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    async with Lab(1, Systemd(podman=True, disk="3g")) as made:
        await import_image(made.hosts["h1"], program="podman")
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def on(lab: Lab, request: pytest.FixtureRequest) -> AsyncIterator[DockerRig]:
    async with docker_rig(lab, cluster_of(request.node.name), program="podman") as made:
        yield made


async def test_a_container_starts_is_seen_with_its_labels_and_stops(on: DockerRig) -> None:
    spec = replace(on.spec(FOREVER), ports=(20123,))
    started = await on.supervisor.start(spec, epoch=1)
    assert (started.state, started.labels, started.endpoint) == (UnitState.RUNNING, spec.labels, "127.0.0.1:20123")
    await on.says("ready")
    assert (await on.seen()).incarnation == started.incarnation
    assert started.pid in await on.processes()
    again = await on.supervisor.start(spec, epoch=1)
    assert again.pid == started.pid
    report = await on.supervisor.stop(on.unit(), epoch=1)
    assert (report.existed, report.gone, report.forced) == (True, True, False)
    assert await on.processes() == []
    after = await on.seen()
    assert (after.state, after.exit.cause if after.exit else "") == (UnitState.EXITED, "stopped")


async def test_it_has_what_amds_recipes_ask_for(on: DockerRig) -> None:
    await on.supervisor.start(on.spec(FOREVER, stop_s=7.5), epoch=1)
    shown = await on.shown()
    host = shown["HostConfig"]
    assert (host["NetworkMode"], host["Init"], host["Privileged"]) == ("host", True, False)
    ours, theirs = ("readlink", "/proc/1/ns/ipc"), ("readlink", f"/proc/{await on.main()}/ns/ipc")
    assert await on.host.run(*ours) == await on.host.run(*theirs)  # `inspect` says "shareable", whatever was asked for
    assert {"CAP_IPC_LOCK", "CAP_SYS_PTRACE"} <= set(shown["EffectiveCaps"] or host["CapAdd"])
    assert "seccomp=unconfined" in host["SecurityOpt"]
    assert host["RestartPolicy"]["Name"] == "no"
    assert shown["Config"]["StopTimeout"] == 8


async def test_an_engine_that_exits_at_once(on: DockerRig) -> None:
    await on.supervisor.start(on.spec("echo no memory >&2; exit 3"), epoch=1)
    found = await on.ended()
    assert found.state is UnitState.FAILED
    assert found.exit is not None
    assert (found.exit.cause, found.exit.last_lines) == ("exit status 3", ("no memory",))
    with pytest.raises(InstanceError, match="generation 1 has already run"):
        await on.supervisor.start(on.spec("echo no memory >&2; exit 3"), epoch=1)


async def test_sigterm_ignored_by_an_engine_with_setsid_workers(on: DockerRig) -> None:
    await on.supervisor.start(on.python(STUBBORN, stop_s=1.0), epoch=1)
    await on.says("ready\nready")
    report = await on.supervisor.stop(on.unit(), epoch=1)
    assert (report.gone, report.forced) == (True, True)
    assert report.took_s < 10
    assert await on.processes() == []


async def test_leader_killed_alone(on: DockerRig) -> None:
    await on.supervisor.start(on.python(ORPHANING), epoch=1)
    await on.says("ready\nready")
    await on.kill(await on.main())
    found = await on.ended()
    assert found.state is UnitState.FAILED
    assert found.exit is not None and found.exit.cause == "killed by SIGKILL"
    assert await on.processes() == []


async def test_program_that_the_image_does_not_have(on: DockerRig) -> None:
    await on.supervisor.start(replace(on.spec(""), argv=("vllm", "serve", "m")), epoch=1)
    found = await on.ended()
    assert found.state is UnitState.FAILED
    assert found.exit is not None and "No such file" in found.exit.last_lines[-1]


async def test_an_image_that_is_not_there_is_named_and_never_pulled(lab: Lab) -> None:
    made_from = Containers(dict.fromkeys(UnitKind, "rocm/vllm:none"))
    async with docker_rig(lab, "noimage", made_from=made_from, program="podman") as on:
        with pytest.raises(InstanceError, match="does not have the image rocm/vllm:none") as refused:
            await on.supervisor.start(on.spec(FOREVER), epoch=1)
    assert "podman pull rocm/vllm:none" in refused.value.hint


async def test_router_killed(on: DockerRig) -> None:
    await on.supervisor.start(on.router("echo up; exec sleep 600"), epoch=1)
    await on.says("up", "router")
    before = await on.seen("router")
    await on.kill(await on.main("router"))

    async def back() -> bool:
        found = await on.seen("router")
        return found.state is UnitState.RUNNING and found.incarnation != before.incarnation

    await wait_until(back, 15, what="the router is back", poll_s=0.1)
    assert (await on.supervisor.stop(on.unit("router"), epoch=1)).gone


async def test_a_secret_is_in_no_inspection(on: DockerRig) -> None:
    spec = replace(on.spec('test -n "$TOKEN" && echo has it; exec sleep 600'), secret_env={"TOKEN": POISON})
    await on.supervisor.start(spec, epoch=1)
    await on.says("has it")
    assert POISON not in str(await on.shown())
    assert (await on.supervisor.stop(on.unit(), epoch=1)).gone


async def test_what_is_not_ours_survives_and_forgetting_leaves_a_log(on: DockerRig) -> None:
    await on.foreign("theirs", {"pdctl.cluster": on.cluster})
    await on.supervisor.start(on.spec("echo said; exit 1"), epoch=1)
    await on.ended()
    assert [unit.labels.instance for unit in (await on.supervisor.inspect()).units] == [ENGINE]
    await on.supervisor.forget([on.unit()], epoch=1)
    assert await on.names() == {"theirs"}
    assert f"logs/{on.unit()}.1.log" in await on.files()
    async with on.supervisor.logs(on.unit(), lines=5, follow=False) as lines:
        assert "said" in [line.text async for line in lines]


async def test_a_foreign_container_of_our_name_is_refused(on: DockerRig) -> None:
    await on.foreign(on.unit())
    with pytest.raises(InstanceError, match="did not make"):
        await on.supervisor.start(on.spec(FOREVER), epoch=1)
    assert await on.status_of(on.unit()) == "running"


async def test_node_rebooted(lab: Lab, on: DockerRig) -> None:
    await on.supervisor.start(on.spec(FOREVER), epoch=1)
    await on.supervisor.start(on.router("echo up; exec sleep 600"), epoch=1)
    await on.says("up", "router")
    await on.host.reboot()
    async with docker_rig(lab, on.cluster, program="podman") as after:
        engine, router = await after.seen(), await after.seen("router")
        assert (engine.state, engine.exit.cause if engine.exit else "") == (UnitState.FAILED, "gone with a reboot")
        assert router.state is UnitState.FAILED, "nothing of podman's starts it at boot"
        assert (await after.supervisor.stop(on.unit("router"), epoch=1)).gone
        await after.supervisor.forget([on.unit(), on.unit("router")], epoch=1)
        assert await after.names() == set()
