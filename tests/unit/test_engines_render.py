"""From an instance to its processes: flags, environment, labels, registration, for every shape and version."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from pdctl.engines.engine import render, running_launch
from pdctl.model.deployment import ArgValue, Deployment
from pdctl.model.launch import Launch, Process
from pdctl.model.role import Connector, EngineKind, SupervisorKind, TransferMode, UnitKind
from tests.unit.deployments import (
    every_cluster,
    gpt_oss_8p4d,
    mori_1p1d,
    nixl_1p2d,
    r1_2p3d,
    standard_2xtp4,
    wide_ep16,
)


def launch(deployment: Deployment, index: int = 0, generation: int = 1) -> Launch:
    instance = deployment.instances[index]
    return render(deployment, instance, dict.fromkeys(instance.nodes, generation))


def value(process: Process, flag: str) -> str | None:
    """What follows `flag`; None where it is not given."""
    return process.argv[process.argv.index(flag) + 1] if flag in process.argv else None


def kv_config(process: Process) -> Any:
    return json.loads(value(process, "--kv-transfer-config") or "null")


def with_args(deployment: Deployment, args: Mapping[str, ArgValue]) -> Deployment:
    return replace(deployment, pools={name: replace(spec, args=args) for name, spec in deployment.pools.items()})


@pytest.mark.parametrize("deployment", every_cluster(), ids=lambda each: each.cluster)
def test_engines_listen_on_their_data_address_only(deployment: Deployment) -> None:
    for index, instance in enumerate(deployment.instances):
        started = launch(deployment, index)
        leader = started.processes[0]
        assert value(leader, "--host") == deployment.nodes[instance.leader.node].data_address
        assert value(leader, "--port") == str(started.ports.http) == str(started.endpoint[1])
        assert started.registration.http_address == f"{value(leader, '--host')}:{started.ports.http}"


@pytest.mark.parametrize("deployment", every_cluster(), ids=lambda each: each.cluster)
def test_labels_name_the_part_and_what_it_was_started_from(deployment: Deployment) -> None:
    for index, instance in enumerate(deployment.instances):
        started = launch(deployment, index, generation=7)
        for part, process in zip(instance.parts, started.processes, strict=True):
            labels = process.labels
            assert (process.node, labels.instance, labels.gpus) == (part.node, part.name, part.gpus)
            assert (labels.kind, labels.pool, labels.role) == (UnitKind.ENGINE, instance.pool, instance.role.value)
            assert (labels.cluster, labels.generation) == (deployment.cluster, 7)
            assert labels.spec_hash == started.spec_hash
            assert process.ports == started.ports.listening()


def test_data_parallel_on_one_node_uses_one_endpoint_and_the_internal_balancer() -> None:
    (process,) = launch(r1_2p3d()).processes
    assert value(process, "--tensor-parallel-size") == "1"
    assert value(process, "--data-parallel-size") == "8"
    assert value(process, "--data-parallel-rpc-port") == str(launch(r1_2p3d()).ports.rpc)
    assert "--enable-expert-parallel" in process.argv
    assert not {"--headless", "--data-parallel-size-local", "--data-parallel-address"} & set(process.argv)


def test_the_served_name_is_given_where_the_path_differs_and_the_path_must_exist() -> None:
    (process,) = launch(r1_2p3d()).processes
    assert process.argv[1:3] == ("serve", "/models/DeepSeek-R1")
    assert value(process, "--served-model-name") == "deepseek-ai/DeepSeek-R1"
    assert process.paths == ("/models/DeepSeek-R1", "/opt/vllm/bin/vllm")
    assert process.secrets == ("HF_TOKEN",)
    assert "HF_TOKEN" not in process.env


def test_slots_hold_as_many_instances_as_fit() -> None:
    deployment = gpt_oss_8p4d()
    devices = [launch(deployment, index).processes[0].env["HIP_VISIBLE_DEVICES"] for index in range(12)]
    assert devices == [str(gpu) for gpu in range(8)] + ["0,1", "2,3", "4,5", "6,7"]


def test_a_group_has_one_leader_and_headless_followers_that_call_it() -> None:
    deployment = wide_ep16()
    started = launch(deployment, 1)
    assert [process.node for process in started.processes] == ["wide-1", "wide-2", "wide-3", "wide-4"]
    for index, process in enumerate(started.processes):
        assert value(process, "--data-parallel-size") == "16"
        assert value(process, "--data-parallel-size-local") == "4"
        assert value(process, "--data-parallel-address") == "10.1.0.11"
        assert value(process, "--data-parallel-rpc-port") == str(started.ports.rpc)
        assert ("--headless" in process.argv) is (index > 0)
        assert value(process, "--data-parallel-start-rank") == (str(4 * index) if index else None)
        assert ("--port" in process.argv) is (index == 0)
        extra = kv_config(process)["kv_connector_extra_config"]
        assert extra["handshake_port"] == str(started.ports.handshake)
        assert extra["host_ip"] == process.env["VLLM_HOST_IP"] == f"10.1.0.{11 + index}"
    assert (started.registration.dp_size, started.registration.tp_size) == (16, 1)


def test_a_group_takes_the_highest_generation_of_its_nodes() -> None:
    deployment = wide_ep16()
    group = deployment.instances[1]
    started = render(deployment, group, {"wide-1": 2, "wide-2": 9, "wide-3": 1, "wide-4": 4})
    assert started.ports == launch(deployment, 1, generation=9).ports
    assert {process.labels.generation for process in started.processes} == {9}


def test_tensor_parallel_over_nodes_uses_torch_ranks() -> None:
    deployment = wide_ep16()
    group = deployment.instances[1]
    wide = replace(group, parallel=replace(group.parallel, tp=16, dp=1))
    started = render(deployment, wide, dict.fromkeys(wide.nodes, 1))
    assert [value(process, "--node-rank") for process in started.processes] == ["0", "1", "2", "3"]
    assert {value(process, "--nnodes") for process in started.processes} == {"4"}
    assert {value(process, "--master-addr") for process in started.processes} == {"10.1.0.11"}
    assert value(started.processes[0], "--data-parallel-size") is None


@pytest.mark.parametrize(
    ("version", "host_ip", "shutdown"),
    [
        ("0.16", False, False),
        ("0.18.1", False, True),
        ("0.21", False, True),
        ("0.24", True, True),
        ("0.33", True, True),
    ],
)
def test_the_version_picks_the_dialect(version: str, host_ip: bool, shutdown: bool) -> None:
    (process,) = launch(mori_1p1d(version=version)).processes
    extra = kv_config(process)["kv_connector_extra_config"]
    assert ("host_ip" in extra) is host_ip
    assert ("--shutdown-timeout" in process.argv) is shutdown
    assert extra["read_mode"] == "true"
    assert process.env["VLLM_MORIIO_CONNECTOR_READ_MODE"] == "1"


@pytest.mark.parametrize(("mode", "said"), [(TransferMode.READ, "READ"), (TransferMode.WRITE, "WRITE")])
def test_moriio_registration(mode: TransferMode, said: str) -> None:
    deployment = mori_1p1d(mode)
    for index, letter in enumerate("PD"):
        started = launch(deployment, index, generation=index + 1)
        ports = started.ports
        assert started.registration.type == letter
        assert started.registration.zmq_address == f"host:10.1.0.9,handshake:{ports.handshake},notify:{ports.notify}"
        assert started.registration.transfer_mode == said
        assert started.registration.tp_size == 4


@pytest.mark.parametrize(
    ("index", "role", "letter"), [(0, "kv_producer", "P"), (1, "kv_consumer", "D"), (2, "kv_consumer", "D")]
)
def test_nixl_listens_on_a_side_channel_of_its_own(index: int, role: str, letter: str) -> None:
    started = launch(nixl_1p2d(), index, generation=index + 1)
    (process,) = started.processes
    side = started.ports.side_channel
    assert kv_config(process) == {"kv_connector": "NixlConnector", "kv_role": role}
    assert process.env["VLLM_NIXL_SIDE_CHANNEL_HOST"] == "10.1.0.7"
    assert process.env["VLLM_NIXL_SIDE_CHANNEL_PORT"] == str(side)
    assert (started.registration.type, started.registration.zmq_address) == (letter, f"10.1.0.7:{side}")
    assert started.registration.transfer_mode is None


def test_the_ranks_of_a_nixl_group_listen_inside_their_block() -> None:
    """vLLM adds the global DP rank to the variable: 4 for the first rank of the second node."""
    deployment = wide_ep16()
    over_nixl = replace(deployment, kv=replace(deployment.kv, connector=Connector.NIXL))
    started = launch(over_nixl, 1)
    for index, process in enumerate(started.processes):
        base = int(process.env["VLLM_NIXL_SIDE_CHANNEL_PORT"])
        assert base + 4 * index == started.ports.side_channel


def test_nixl_on_cpu_needs_its_buffer_device() -> None:
    deployment = nixl_1p2d()
    on_cpu = replace(deployment, kv=replace(deployment.kv, buffer_device="cpu"))
    assert kv_config(launch(on_cpu).processes[0])["kv_buffer_device"] == "cpu"


def test_mixed_instances_have_no_connector_even_beside_one() -> None:
    deployment = standard_2xtp4()
    beside = replace(deployment, kv=mori_1p1d(TransferMode.READ).kv)
    started = launch(beside)
    assert kv_config(started.processes[0]) is None
    assert not any("MORIIO" in name for name in started.processes[0].env)
    assert (started.registration.type, started.registration.zmq_address) == ("M", "")
    assert started.registration.transfer_mode is None


def test_environment_layers_in_order() -> None:
    base = mori_1p1d(TransferMode.WRITE)
    pools = {
        name: replace(spec, env={"A": "pool", "B": "pool", "VLLM_ENGINE_READY_TIMEOUT_S": "9"})
        for name, spec in base.pools.items()
    }
    owned = {"HIP_VISIBLE_DEVICES": "7", "VLLM_HOST_IP": "1.2.3.4", "VLLM_SERVER_DEV_MODE": "1", "VLLM_PORT": "5"}
    nodes = {
        name: replace(spec, env={"B": "node", "VLLM_MORIIO_CONNECTOR_READ_MODE": "1", **owned})
        for name, spec in base.nodes.items()
    }
    env = launch(replace(base, pools=pools, nodes=nodes)).processes[0].env
    assert (env["A"], env["B"], env["VLLM_ENGINE_READY_TIMEOUT_S"]) == ("pool", "node", "9")
    assert (env["HIP_VISIBLE_DEVICES"], env["VLLM_HOST_IP"]) == ("0,1,2,3", "10.1.0.9")
    assert not env.keys() & {"VLLM_SERVER_DEV_MODE", "VLLM_PORT", "VLLM_MORIIO_CONNECTOR_READ_MODE"}


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"enforce-eager": True}, ("--enforce-eager",)),
        ({"enable_prefix_caching": False}, ("--no-enable-prefix-caching",)),
        ({"no-enable-prefix-caching": False}, ("--enable-prefix-caching",)),
        ({"max-num-seqs": None}, ()),
        ({"max_num_seqs": 64, "block-size": 32}, ("--block-size", "32", "--max-num-seqs", "64")),
        ({"--gpu-memory-utilization": 0.9}, ("--gpu-memory-utilization", "0.9")),
        ({"seed": -1}, ("--seed=-1",)),
        ({"port": 1, "tp": 2, "data-parallel-rank": 3, "kv_transfer_config": "{}"}, ()),
    ],
)
def test_arguments_of_the_operator(args: Mapping[str, ArgValue], words: tuple[str, ...]) -> None:
    plain = launch(with_args(standard_2xtp4(), {})).processes[0].argv
    assert launch(with_args(standard_2xtp4(), args)).processes[0].argv == plain + words


@pytest.mark.parametrize(
    ("supervisor", "python", "image", "program", "paths"),
    [
        (SupervisorKind.SYSTEMD, "/opt/v/bin/python", None, "/opt/v/bin/vllm", ("/opt/v/bin/vllm",)),
        (SupervisorKind.PROCESS, "python3", None, "vllm", ()),
        (SupervisorKind.DOCKER, None, "rocm/vllm-dev:nightly", "vllm", ()),
    ],
)
def test_the_program(
    supervisor: SupervisorKind, python: str | None, image: str | None, program: str, paths: tuple[str, ...]
) -> None:
    base = standard_2xtp4()
    engine = replace(base.engine, supervisor=supervisor, python=python, image=image)
    (process,) = launch(replace(base, engine=engine)).processes
    assert process.argv[:2] == (program, "serve")
    assert process.paths == paths


@pytest.mark.parametrize("deployment", every_cluster(), ids=lambda each: each.cluster)
def test_the_simulated_engine_takes_vllms_own_command_line(deployment: Deployment) -> None:
    simulated = replace(deployment, engine=replace(deployment.engine, kind=EngineKind.SIMULATED))
    for index in range(len(deployment.instances)):
        for real, fake in zip(launch(deployment, index).processes, launch(simulated, index).processes, strict=True):
            assert fake.argv == ("/opt/vllm/bin/python", "-m", "pdctl.sim.engine", *real.argv[1:])
            assert fake.env == real.env


@pytest.mark.parametrize("deployment", every_cluster(), ids=lambda each: each.cluster)
def test_a_running_engine_is_registered_by_its_endpoint_after_the_inventory_changed(deployment: Deployment) -> None:
    edited = replace(deployment, router=replace(deployment.router, port=20010))
    for index, instance in enumerate(deployment.instances):
        started = launch(deployment, index)
        running = running_launch(edited, instance, started.generation, started.endpoint[1])
        assert running.registration == started.registration


def test_decode_bench_fills_the_kv_of_mixed_engines() -> None:
    """As vLLM's decode_bench_connector.py says that it is configured."""
    colocated = standard_2xtp4()
    measured = replace(colocated, kv=replace(colocated.kv, connector=Connector.DECODE_BENCH))
    wanted = {"kv_connector": "DecodeBenchConnector", "kv_role": "kv_both"}
    assert [kv_config(process) for process in launch(measured).processes] == [wanted]
    assert [kv_config(process) for process in launch(colocated).processes] == [None]
