"""Containers on a real docker: what starts, is seen, stops and ends, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from pdctl.errors import EpochRefused, InstanceError
from pdctl.model.deployment import Mount
from pdctl.model.role import UnitKind
from pdctl.model.unit import UnitState
from pdctl.supervisors.docker_records import Containers
from tests.lab.docker_image import IMAGE
from tests.lab.docker_rig import ENGINE, IMAGES, DockerRig, docker_lab, docker_rig
from tests.lab.lab import Lab
from tests.lab.systemd_rig import cluster_of
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

FOREVER = "exec sleep 600"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    async with docker_lab() as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def on(lab: Lab, request: pytest.FixtureRequest) -> AsyncIterator[DockerRig]:
    async with docker_rig(lab, cluster_of(request.node.name)) as made:
        yield made


class TestLife:
    async def test_a_container_starts_is_seen_with_its_labels_and_stops(self, on: DockerRig) -> None:
        spec = replace(on.spec(FOREVER), ports=(20123,))
        started = await on.supervisor.start(spec, epoch=1)
        assert (started.state, started.labels) == (UnitState.RUNNING, spec.labels)
        assert started.endpoint == "127.0.0.1:20123"
        image = (await on.docker("images", "--quiet", "--no-trunc", IMAGE)).strip()
        assert f"sha256:{started.image}" == image
        assert await on.seen() == started
        assert started.pid in await on.processes()
        report = await on.supervisor.stop(on.unit(), epoch=1)
        assert (report.existed, report.gone, report.forced) == (True, True, False)
        assert await on.processes() == []
        after = await on.seen()
        assert after.state is UnitState.EXITED
        assert after.exit is not None and after.exit.cause == "stopped"

    async def test_docker_ps_finds_it_by_each_of_its_labels(self, on: DockerRig) -> None:
        await on.supervisor.start(on.spec(FOREVER, gpus=(4, 5)), epoch=1)
        expected = {
            "cluster": on.cluster, "instance": ENGINE, "generation": "1", "spec_hash": "hash1", "kind": "engine",
            "pool": "decode", "role": "decode", "gpus": "4,5",
        }  # fmt: skip
        for name, value in expected.items():
            found = await on.docker("ps", "--filter", f"label=pdctl.{name}={value}", "--format", "{{.Names}}")
            assert found.split() == [on.unit()], name

    async def test_it_has_what_amds_recipes_ask_for(self, on: DockerRig) -> None:
        await on.supervisor.start(on.spec(FOREVER, stop_s=7.5), epoch=1)
        shown = await on.shown()
        host = shown["HostConfig"]
        assert (host["NetworkMode"], host["IpcMode"], host["Init"]) == ("host", "host", True)
        assert host["Privileged"] is False
        assert {name.removeprefix("CAP_") for name in host["CapAdd"]} == {"IPC_LOCK", "SYS_PTRACE"}
        assert "seccomp=unconfined" in host["SecurityOpt"]
        limits = {limit["Name"]: (limit["Soft"], limit["Hard"]) for limit in host["Ulimits"]}
        assert limits == {"memlock": (-1, -1), "nofile": (1 << 20, 1 << 20), "stack": (67108864, 67108864)}
        assert host["RestartPolicy"]["Name"] == "no"
        assert host["LogConfig"]["Config"] == {"max-file": "2", "max-size": str(32 << 20)}
        assert (shown["Config"]["StopSignal"], shown["Config"]["StopTimeout"]) == ("SIGTERM", 8)

    async def test_starting_the_same_launch_twice_changes_nothing(self, on: DockerRig) -> None:
        spec = on.spec(FOREVER)
        one, other = await asyncio.gather(on.supervisor.start(spec, epoch=1), on.supervisor.start(spec, epoch=1))
        assert one.pid == other.pid
        assert (await on.supervisor.start(spec, epoch=1)).incarnation == one.incarnation

    async def test_stopping_what_is_not_there_or_already_stopped_is_a_success(self, on: DockerRig) -> None:
        report = await on.supervisor.stop(on.unit("nobody"), epoch=1)
        assert (report.existed, report.gone) == (False, True)
        await on.supervisor.start(on.spec(FOREVER), epoch=1)
        await on.supervisor.stop(on.unit(), epoch=1)
        again = await on.supervisor.stop(on.unit(), epoch=1)
        assert again.gone and not again.forced

    async def test_files_and_the_models_path_are_there_under_their_own_names_and_read_only(self, on: DockerRig) -> None:
        await on.host.run("/bin/sh", "-c", "mkdir -p /models/m && echo weights > /models/m/w")
        script = "cat {unit_dir}/conf /models/m/w; touch /models/m/x {unit_dir}/x 2>&1; " + FOREVER
        spec = replace(on.spec(script), files={"conf": "in {unit_dir}\n"}, paths=("/models/m",))
        await on.supervisor.start(spec, epoch=1)
        await on.says("files/x': Read-only file system")
        directory = f"/var/lib/pdctl/{on.cluster}/units/{on.unit()}/files"
        said = (await on.docker("logs", on.unit())).splitlines()
        assert said[:2] == [f"in {directory}", "weights"]
        assert (await on.host.run("ls", "/models/m", directory)).count("x") == 0

    async def test_the_clusters_directory_is_lent_to_what_names_it(self, on: DockerRig) -> None:
        await on.supervisor.start(on.router("echo state > {cluster_dir}/registrar.json; " + FOREVER), epoch=1)
        path = f"/var/lib/pdctl/{on.cluster}/registrar.json"
        await wait_until(on.host.path(path).exists, 10)
        await on.supervisor.stop(on.unit("router"), epoch=1)

    async def test_mounts_of_the_inventory_and_the_jit_cache_of_the_image(self, lab: Lab) -> None:
        made_from = Containers(IMAGES, (Mount("/srv", "/data", True),), jit_cache=True)
        async with docker_rig(lab, cluster_of("mounts"), made_from=made_from) as on:
            script = 'echo warm > "$AITER_JIT_DIR/kernel"; echo x > /data/written; echo "$TRITON_CACHE_DIR"; '
            started = await on.supervisor.start(on.spec(script + FOREVER), epoch=1)
            await on.says("/opt/vllm_cache/triton")
            kept = on.host.path(f"/var/lib/pdctl/.jit/{started.image[:12]}/aiter/kernel")
            assert kept.read_text() == "warm\n"
            assert on.host.path("/srv/written").exists()
            await on.supervisor.stop(on.unit(), epoch=1)
            await on.supervisor.forget([on.unit()], epoch=1)
            assert kept.exists()  # the next launch from this image starts warm
            assert (await on.supervisor.inspect()).units == ()

    async def test_forgetting_leaves_a_log_and_the_ledger_and_nothing_else(self, on: DockerRig) -> None:
        assert await on.supervisor.take_generations(2, epoch=1) == 1
        await on.supervisor.start(replace(on.spec("echo last words"), secret_env={"S": "s"}), epoch=1)
        await on.ended()
        await on.supervisor.forget([on.unit()], epoch=1)
        assert on.unit() not in await on.names()
        assert set(await on.files()) == {"ledger.json", "epoch", "epoch.lock", f"logs/{on.unit()}.1.log"}
        async with on.supervisor.logs(on.unit(), lines=5, follow=False) as lines:
            assert [line.text async for line in lines] == ["last words"]
        assert await on.supervisor.take_generations(1, epoch=1) == 3


class TestRefusals:
    async def test_an_image_that_is_not_there_is_named_and_never_pulled(self, lab: Lab) -> None:
        made_from = Containers({UnitKind.ENGINE: "rocm/vllm-dev:nightly"})
        async with docker_rig(lab, cluster_of("no-image"), made_from=made_from) as on:
            with pytest.raises(InstanceError, match="does not have the image rocm/vllm-dev:nightly") as caught:
                await on.supervisor.start(on.spec(FOREVER), epoch=1)
            assert "docker pull rocm/vllm-dev:nightly" in caught.value.hint
            assert (await on.supervisor.inspect()).units == ()

    async def test_an_operator_with_an_older_lease_is_refused(self, on: DockerRig) -> None:
        await on.supervisor.start(on.spec(FOREVER), epoch=7)
        with pytest.raises(EpochRefused):
            await on.supervisor.stop(on.unit(), epoch=6)
        assert (await on.seen()).state is UnitState.RUNNING

    async def test_a_generation_never_runs_twice(self, on: DockerRig) -> None:
        await on.supervisor.start(on.spec("true"), epoch=1)
        await on.ended()
        with pytest.raises(InstanceError, match="generation 1 has already run"):
            await on.supervisor.start(on.spec("true"), epoch=1)
        assert (await on.supervisor.start(on.spec(FOREVER, generation=2), epoch=1)).state is UnitState.RUNNING

    async def test_gpus_in_use_by_another_cluster_are_refused(self, lab: Lab, on: DockerRig) -> None:
        await on.supervisor.start(on.spec(FOREVER, gpus=(0, 1)), epoch=1)
        async with docker_rig(lab, f"{on.cluster}-2") as other:
            with pytest.raises(InstanceError, match=rf"GPU 1 is held by {on.unit()}, generation 1"):
                await other.supervisor.start(other.spec(FOREVER, gpus=(1, 2)), epoch=1)
            assert (await other.supervisor.inspect()).others == (on.unit(),)

    async def test_a_missing_path_and_a_missing_gpu_driver_are_named(self, lab: Lab, on: DockerRig) -> None:
        with pytest.raises(InstanceError, match="missing on the node: /models/none"):
            await on.supervisor.start(replace(on.spec(FOREVER), paths=("/models/none",)), epoch=1)
        async with docker_rig(lab, on.cluster, made_from=Containers(IMAGES, needs_gpu=True)) as needy:
            with pytest.raises(InstanceError, match="missing on the node: /dev/kfd"):
                await needy.supervisor.start(on.spec(FOREVER), epoch=1)
        assert await on.names() == set()

    async def test_host_rdma_on_a_node_without_it_is_refused(self, lab: Lab) -> None:
        async with docker_rig(lab, cluster_of("rdma"), made_from=Containers(IMAGES, host_rdma=True)) as on:
            with pytest.raises(InstanceError, match="no rdma-core to lend"):
                await on.supervisor.start(on.spec(FOREVER), epoch=1)


class TestOthers:
    async def test_what_is_not_ours_survives_everything(self, on: DockerRig) -> None:
        await on.foreign("bystander")
        await on.foreign("half", {"pdctl.cluster": on.cluster, "pdctl.instance": ENGINE})
        inherited = {
            f"pdctl.{name}": "0" for name in ("instance", "generation", "spec_hash", "kind", "pool", "role", "gpus")
        }
        await on.foreign("inherited", {**inherited, "pdctl.cluster": on.cluster})
        await on.supervisor.start(on.spec(FOREVER), epoch=1)
        assert [unit.labels.instance for unit in (await on.supervisor.inspect()).units] == [ENGINE]
        await on.supervisor.stop(on.unit(), epoch=1)
        await on.supervisor.forget([on.unit()], epoch=1)
        assert await on.names() == {"bystander", "half", "inherited"}
        assert [await on.status_of(name) for name in ("bystander", "half", "inherited")] == ["running"] * 3

    async def test_a_foreign_container_of_our_name_is_refused_and_left_alone(self, on: DockerRig) -> None:
        await on.foreign(on.unit())
        with pytest.raises(InstanceError, match="that pdctl did not make"):
            await on.supervisor.start(on.spec(FOREVER), epoch=1)
        with pytest.raises(InstanceError, match="none of ours"):
            await on.supervisor.stop(on.unit(), epoch=1)
        await on.supervisor.forget([on.unit()], epoch=1)
        assert await on.status_of(on.unit()) == "running"

    async def test_prod_and_prod_2_never_see_each_other(self, lab: Lab) -> None:
        async with docker_rig(lab, "prod") as prod, docker_rig(lab, "prod-2") as second:
            await prod.supervisor.start(prod.spec(FOREVER, gpus=(0,)), epoch=1)
            await second.supervisor.start(second.spec(FOREVER, gpus=(1,)), epoch=1)
            assert [unit.labels.cluster for unit in (await prod.supervisor.inspect()).units] == ["prod"]
            assert [unit.labels.cluster for unit in (await second.supervisor.inspect()).units] == ["prod-2"]
            await prod.supervisor.stop(prod.unit(), epoch=1)
            await prod.supervisor.forget([prod.unit()], epoch=1)
            assert await prod.names() == {second.unit()}
            assert (await second.seen()).state is UnitState.RUNNING
