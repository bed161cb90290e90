"""What a node lends its containers, and what an inventory may ask of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pdctl.engines.spec_hash import spec_hash
from pdctl.inventory.load import parse
from pdctl.inventory.place import place
from pdctl.inventory.problems import InvalidInventory
from pdctl.model.deployment import DockerSpec, EngineSpec, Mount
from pdctl.model.role import EngineKind, SupervisorKind, UnitKind
from pdctl.supervisors import docker_host_on_node
from pdctl.supervisors.docker_host_on_node import is_covered, jit_mount, path_mounts, present_devices, rdma_mounts
from pdctl.supervisors.docker_records import containers
from pdctl.supervisors.node_state_on_node import Refusal
from tests.unit import deployments

INVENTORY = """\
version: 1
cluster: c
model: {name: m, path: /m}
ssh: {user: ops}
engine: {version: "0.33", supervisor: docker, image: "e:1"}
kv: {connector: moriio, mode: write}
router: {node: n1, supervisor: docker, image: "r:1"}
pools:
  prefill: {role: prefill, parallel: {tp: 8}}
  decode: {role: decode, parallel: {tp: 8}}
nodes:
  n1: {host: 10.0.0.1, gpus: 8, pool: prefill}
  n2: {host: 10.0.0.2, gpus: 8, pool: decode}
"""


def test_containers_are_made_as_the_inventory_says() -> None:
    text = INVENTORY + "docker: {host_rdma: true, mounts: [/data, /hf:/root/.cache, /out:/out:rw]}\n"
    deployment = place(parse(text.encode(), Path("/x/inventory.yaml")), login="ops")
    made = containers(deployment, "mi300x")
    assert made.mounts == (Mount("/data", "/data"), Mount("/hf", "/root/.cache"), Mount("/out", "/out", True))
    assert made.images == {UnitKind.ENGINE: "e:1", UnitKind.ROUTER: "r:1", UnitKind.REGISTRAR: "r:1"}
    assert (made.host_rdma, made.needs_gpu, made.jit_cache) == (True, True, True)
    assert not containers(deployment, "cpu").needs_gpu
    plain = place(parse(INVENTORY.encode(), Path("/x/inventory.yaml")), login="ops")
    assert plain.docker == DockerSpec(host_rdma=False, mounts=())


@pytest.mark.parametrize("mount", ["data", "/a:b", "/a:/b:rx", "'/a,readonly'", "5", '"/a\\nb"', "/a:/b:ro:z"])
def test_a_mount_that_is_none_is_shown_where_it_stands(mount: str) -> None:
    with pytest.raises(InvalidInventory) as caught:
        parse(
            f"{INVENTORY}docker: {{mounts: [/ok, {mount if ',' not in mount else repr(mount)}]}}\n".encode(), Path("i")
        )
    assert [(found.line, found.where) for found in caught.value.located] == [(14, "docker.mounts[1]")]


def test_what_containers_get_is_part_of_what_an_engine_was_started_from() -> None:
    deployment = deployments.mori_1p1d()
    engine = EngineSpec(EngineKind.VLLM, "0.33", SupervisorKind.DOCKER, image="e:1")
    docker = replace(deployment, engine=engine)
    rdma = replace(docker, docker=DockerSpec(host_rdma=True))
    mounts = replace(docker, docker=DockerSpec(mounts=(Mount("/a", "/a"),)))
    instance = deployment.instances[0]
    assert len({spec_hash(found, instance) for found in (docker, rdma, mounts)}) == 3
    under_systemd = replace(deployment, docker=DockerSpec(host_rdma=True))
    assert spec_hash(under_systemd, instance) == spec_hash(deployment, instance)


def test_only_the_devices_that_are_there_are_lent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu, dri, rdma = (str(tmp_path / name) for name in ("kfd", "dri", "infiniband"))
    monkeypatch.setattr(docker_host_on_node, "GPU_DEVICE", gpu)
    monkeypatch.setattr(docker_host_on_node, "DEVICES", (gpu, dri, rdma))
    Path(dri).mkdir()
    assert present_devices(needs_gpu=False) == [dri]
    with pytest.raises(Refusal, match="missing on the node"):
        present_devices(needs_gpu=True)
    Path(gpu).touch()
    assert present_devices(needs_gpu=True) == [gpu, dri]


def test_rdma_libraries_are_lent_but_for_links_that_lead_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker_host_on_node, "LIBRARY_DIRECTORIES", (str(tmp_path),))
    with pytest.raises(Refusal, match="no rdma-core"):
        rdma_mounts()
    (tmp_path / "libibverbs.so.1.14").touch()
    (tmp_path / "libibverbs.so.1").symlink_to("libibverbs.so.1.14")
    (tmp_path / "libionic.so.1").symlink_to("libionic.so.1.gone")
    (tmp_path / "libibverbs").mkdir()
    lent = {Path(source).name for source, _, _ in rdma_mounts()}
    assert {"libibverbs.so.1", "libibverbs.so.1.14", "libibverbs"} <= lent
    assert "libionic.so.1" not in lent


def test_the_jit_cache_is_the_images_own_and_its_directories_are_there(tmp_path: Path) -> None:
    source, target, writable = jit_mount(str(tmp_path), "abcdef0123456789")
    assert (target, writable) == ("/opt/vllm_cache", True)
    assert {path.name for path in Path(source).iterdir()} == {"aiter", "triton", "vllm", "comgr"}
    assert jit_mount(str(tmp_path), "fedcba9876543210")[0] != source


@pytest.mark.parametrize(
    ("mounts", "expected"),
    [
        ([], [("/models/m", "/models/m", False)]),
        ([("/models", "/models", False)], [("/models", "/models", False)]),
        ([("/models", "/weights", False)], [("/models", "/weights", False), ("/models/m", "/models/m", False)]),
        ([("/model", "/model", False)], [("/model", "/model", False), ("/models/m", "/models/m", False)]),
    ],
)
def test_the_model_is_mounted_once(mounts: list[tuple[str, str, bool]], expected: list[tuple[str, str, bool]]) -> None:
    request = {"mounts": mounts, "paths": ["/models/m", "/usr/bin/python3"], "argv": ["/usr/bin/python3"]}
    assert path_mounts(request) == expected


def test_a_mount_of_everything_covers_everything() -> None:
    assert is_covered("/models/m", [("/", "/", False)])
