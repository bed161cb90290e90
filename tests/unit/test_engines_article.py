"""The 1P1D inventories start what the AMD/EmbeddedLLM article appendix starts, up to ports and newer vLLM's needs."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from pdctl.engines.engine import render
from pdctl.engines.flags import ALIASES
from pdctl.model.deployment import Deployment
from pdctl.model.launch import Process
from pdctl.model.role import TransferMode
from tests.unit.deployments import mori_1p1d, standard_2xtp4

# "Appendix: Reproducible Configurations" of the AMD/EmbeddedLLM article (Qwen3-235B-A22B-FP8, one MI300X node).
PREFILL_COMMAND = """
vllm serve Qwen/Qwen3-235B-A22B-FP8 -tp 4 --enable-expert-parallel --port 20005 --max-num-batched-tokens 4096
  --distributed-executor-backend mp --gpu_memory_utilization 0.9 --max-model-len 16384 --max_num_seqs 64
  --no-enable-prefix-caching --kv-transfer-config '{"kv_connector": "MoRIIOConnector", "kv_role": "kv_producer",
  "kv_connector_extra_config": {"proxy_ip": "127.0.0.1", "proxy_ping_port": "36367", "http_port": "20005",
  "handshake_port": "6301", "notify_port": "6105"}}'
"""
DECODE_COMMAND = """
vllm serve Qwen/Qwen3-235B-A22B-FP8 -tp 4 --enable-expert-parallel --port 40005 --no-enable-prefix-caching
  --max-num-batched-tokens 4096 --distributed-executor-backend mp --gpu_memory_utilization 0.9 --max-model-len 16384
  --max_num_seqs 64 --kv-transfer-config '{"kv_connector": "MoRIIOConnector", "kv_role": "kv_consumer",
  "kv_connector_extra_config": {"proxy_ip": "127.0.0.1", "http_port": "40005", "proxy_ping_port": "36367",
  "handshake_port": "7301", "notify_port": "7501"}}'
"""
STANDARD_COMMAND = """
vllm serve Qwen/Qwen3-235B-A22B-FP8 -tp 4 --enable-expert-parallel --max-model-len 16384 --max-num-batched-tokens 8192
  --distributed-executor-backend mp --no-enable-prefix-caching --port 8100
"""
READ_VARIABLE = {"VLLM_MORIIO_CONNECTOR_READ_MODE": "1"}  # "unset for write mode"
COMMON_ENV = {"VLLM_ROCM_USE_AITER": "1", "MORI_DISABLE_AUTO_XGMI": "1", "MORI_IO_ENABLE_NOTIFICATION": "0"}

ADDED_FLAGS = {
    "--host": "10.1.0.9",
    "--shutdown-timeout": "60",
    "--disable-access-log-for-endpoints": "/health,/metrics",
}
ADDED_ENV = {"VLLM_HOST_IP": "10.1.0.9", "VLLM_ENGINE_READY_TIMEOUT_S": "5400"}
PORT_KEYS = ("http_port", "handshake_port", "notify_port", "proxy_ping_port")


def flags(words: list[str]) -> dict[str, str]:
    """Flag -> value by long, dashed names; a switch has the value ""."""
    found: dict[str, str] = {}
    for index, word in enumerate(words):
        if word.startswith("-"):
            bare = word.lstrip("-").replace("_", "-")
            name = f"--{ALIASES.get(bare, bare)}"
            after = words[index + 1] if index + 1 < len(words) else "-"
            found[name] = "" if after.startswith("-") else after
    return found


def started(deployment: Deployment, index: int) -> Process:
    instance = deployment.instances[index]
    (process,) = render(deployment, instance, {"solo": index + 1}).processes
    return process


def without_ports(found: dict[str, str]) -> tuple[dict[str, str], dict[str, Any]]:
    """The flags but `--port` and the connector's config; the config but its ports, `proxy_ip` and what is newer."""
    config = json.loads(found.get("--kv-transfer-config", "{}"))
    extra = config.get("kv_connector_extra_config", {})
    for key in (*PORT_KEYS, "proxy_ip", "read_mode", "host_ip"):
        extra.pop(key, None)
    return {name: value for name, value in found.items() if name not in ("--port", "--kv-transfer-config")}, config


@pytest.mark.parametrize("mode", list(TransferMode))
@pytest.mark.parametrize(("index", "command"), [(0, PREFILL_COMMAND), (1, DECODE_COMMAND)])
def test_argv_equals_the_article(mode: TransferMode, index: int, command: str) -> None:
    source = shlex.split(command)
    process = started(mori_1p1d(mode), index)
    assert process.argv[0] == "/opt/vllm/bin/vllm"
    assert list(process.argv[1:3]) == source[1:3]
    ours, config = without_ports(flags(list(process.argv[3:])))
    theirs, their_config = without_ports(flags(source[3:]))
    assert ours == theirs | ADDED_FLAGS
    assert config == their_config


@pytest.mark.parametrize("mode", list(TransferMode))
@pytest.mark.parametrize(("index", "gpus"), [(0, "0,1,2,3"), (1, "4,5,6,7")])
def test_env_equals_the_article(mode: TransferMode, index: int, gpus: str) -> None:
    devices = {"CUDA_VISIBLE_DEVICES": gpus, "HIP_VISIBLE_DEVICES": gpus}
    expected = {**COMMON_ENV, **devices, **ADDED_ENV, **(READ_VARIABLE if mode is TransferMode.READ else {})}
    assert started(mori_1p1d(mode), index).env == expected


@pytest.mark.parametrize(("mode", "value"), [(TransferMode.READ, "true"), (TransferMode.WRITE, "false")])
def test_newer_vllm_gets_the_mode_in_the_config_and_never_registers_itself(mode: TransferMode, value: str) -> None:
    found = flags(list(started(mori_1p1d(mode), 0).argv))
    extra = json.loads(found["--kv-transfer-config"])["kv_connector_extra_config"]
    assert extra["read_mode"] == value
    assert extra["proxy_ip"] == ""
    assert extra["host_ip"] == "10.1.0.9"
    assert extra["http_port"] == found["--port"]
    assert all(isinstance(item, str) for item in extra.values())


@pytest.mark.parametrize(("index", "gpus"), [(0, "0,1,2,3"), (1, "4,5,6,7")])
def test_the_standard_deployment_equals_the_article(index: int, gpus: str) -> None:
    process = started(standard_2xtp4(), index)
    ours, config = without_ports(flags(list(process.argv)))
    theirs, _ = without_ports(flags(shlex.split(STANDARD_COMMAND)))
    assert ours == theirs | ADDED_FLAGS
    assert config == {}
    assert process.env["CUDA_VISIBLE_DEVICES"] == gpus
    assert not any("MORIIO" in name for name in process.env)
