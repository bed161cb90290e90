"""vLLM's command line and environment for one part of an instance.

Flags are vLLM's long names. The HTTP server binds the node's data address and nothing else: an engine's admin and
metrics endpoints carry no authentication (vLLM 0.33), so they must not appear on every network of the machine.
`VLLM_PORT` stays unset: vLLM scans upwards from it for internal ports, past any block of ours, and one value shared by
co-located engines clashes; unset, it takes ephemeral ports, which lie above our range.
"""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Final

from pdctl.engines.connectors import connector_for
from pdctl.engines.connectors.base import KvConnector, Wiring
from pdctl.engines.flags import option, user_options
from pdctl.model.deployment import Deployment, EngineSpec, Instance, Part
from pdctl.model.launch import FabricFacts, Ports
from pdctl.model.role import SupervisorKind

SHUTDOWN_TIMEOUT_SINCE: Final = (0, 18)
"""`--shutdown-timeout`: drain on SIGTERM instead of aborting what runs. Absent in vLLM 0.16, present in 0.18.1."""

QUIET_ACCESS_LOG_SINCE: Final = (0, 16)
"""`--disable-access-log-for-endpoints` (vLLM pull request 30011)."""

_POLLED: Final = "/health,/metrics"
"""Asked for about twice a second: logged, these lines would push an engine's last words out of every tail."""

FORBIDDEN_ENV: Final = frozenset({"VLLM_SERVER_DEV_MODE", "VLLM_PORT"})
"""Never passed on: dev mode opens unauthenticated control endpoints, for VLLM_PORT see above."""

OWNED_ENV: Final = frozenset({"HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES", "VLLM_HOST_IP"})
"""Set by pdctl for every part, besides what the connector sets. ROCm builds read either device list; both are set."""

_RPC, _MASTER = 0, 1  # offsets in the launch's rpc ports


def program(engine: EngineSpec) -> tuple[str, ...]:
    """What starts vLLM: the `vllm` script beside the node's Python, or the image's own (as its entry point)."""
    if engine.supervisor is SupervisorKind.DOCKER or engine.python is None:
        return ("vllm",)
    python = PurePosixPath(engine.python)
    return (str(python.with_name("vllm")),) if python.is_absolute() else ("vllm",)


def arguments(deployment: Deployment, instance: Instance, index: int, ports: Ports) -> tuple[str, ...]:
    """argv after the program for part `index` of `instance`."""
    model = deployment.model
    pool = deployment.pools[instance.pool]
    words = ["serve", model.path or model.name]
    if index == 0:
        words += option("host", deployment.nodes[instance.leader.node].data_address)
        words += option("port", ports.http)
        if deployment.engine.version_tuple >= QUIET_ACCESS_LOG_SINCE:
            words += option("disable-access-log-for-endpoints", _POLLED)
    if model.path and model.path != model.name:
        words += option("served-model-name", model.name)
    words += _shape(deployment, instance, index, ports)
    if deployment.engine.version_tuple >= SHUTDOWN_TIMEOUT_SINCE:
        words += option("shutdown-timeout", round(deployment.budgets.shutdown_s))
    words += user_options(pool.args)
    config = connector_for(deployment.kv.connector, instance.role).transfer_config(
        _wiring(deployment, instance, index, ports)
    )
    if config is not None:
        words += option("kv-transfer-config", json.dumps(config))
    return tuple(words)


def environment(
    deployment: Deployment, instance: Instance, index: int, ports: Ports, fabric: FabricFacts | None = None
) -> dict[str, str]:
    """The environment of part `index`, secrets aside, sorted by name.

    Later ones win: built in, what was found of the node's fabric, engine's and pool's (merged by the inventory),
    node's, what pdctl owns.
    """
    part = instance.parts[index]
    node = deployment.nodes[part.node]
    connector = connector_for(deployment.kv.connector, instance.role)
    wanted = {
        "VLLM_ENGINE_READY_TIMEOUT_S": str(round(deployment.budgets.ready_s)),
        **(_fabric_env(connector, fabric, part) if fabric is not None else {}),
        **deployment.pools[instance.pool].env,
        **node.env,
    }
    for name in FORBIDDEN_ENV | OWNED_ENV | connector.owned_env:
        wanted.pop(name, None)
    devices = ",".join(str(gpu) for gpu in part.gpus)
    wanted |= {
        "HIP_VISIBLE_DEVICES": devices,
        "CUDA_VISIBLE_DEVICES": devices,
        "VLLM_HOST_IP": node.data_address,
        **connector.env(_wiring(deployment, instance, index, ports)),
    }
    return dict(sorted(wanted.items()))


def _fabric_env(connector: KvConnector, fabric: FabricFacts, part: Part) -> dict[str, str]:
    """The connector's own, and what RCCL and Gloo need for TP, DP and EP (names: RCCL, PyTorch)."""
    devices = fabric.devices(part.gpus)
    found = {
        "NCCL_IB_HCA": f"={','.join(devices)}" if devices else "",  # with = names are whole, and no prefixes
        "NCCL_IB_GID_INDEX": fabric.gid_index,
        "NCCL_IB_TC": fabric.traffic_class,
        "NCCL_IB_SL": fabric.service_level,
        "NCCL_SOCKET_IFNAME": fabric.socket_interface,
        "GLOO_SOCKET_IFNAME": fabric.socket_interface,
    }
    shared = {name: str(value) for name, value in found.items() if value not in (None, "")}
    return {**shared, **connector.fabric_env(fabric, devices)}


def local_dp(instance: Instance, part: Part) -> int:
    """How many DP ranks of `instance` run on `part`; 0 where one tensor-parallel rank group is larger than the part."""
    return len(part.gpus) // instance.parallel.tp


def _shape(deployment: Deployment, instance: Instance, index: int, ports: Ports) -> list[str]:
    """Parallelism flags. Data parallelism uses vLLM's internal load balancer: one HTTP endpoint per instance."""
    parallel = instance.parallel
    leader = deployment.nodes[instance.leader.node].data_address
    spread = len(instance.parts) > 1
    words = [*option("tensor-parallel-size", parallel.tp)]
    if parallel.dp > 1:
        words += option("data-parallel-size", parallel.dp)
        if spread:
            words += option("data-parallel-size-local", local_dp(instance, instance.parts[index]))
            words += option("data-parallel-address", leader)
        words += option("data-parallel-rpc-port", ports.rpc + _RPC)
        if index:
            words += option("data-parallel-start-rank", _first_rank(instance, index))
    elif spread:
        words += option("nnodes", len(instance.parts))
        words += option("node-rank", index)
        words += option("master-addr", leader)
        words += option("master-port", ports.rpc + _MASTER)
    if index:
        words += option("headless", True)
    if parallel.ep:
        words += option("enable-expert-parallel", True)
    return words


def _first_rank(instance: Instance, index: int) -> int:
    return sum(local_dp(instance, part) for part in instance.parts[:index])


def _wiring(deployment: Deployment, instance: Instance, index: int, ports: Ports) -> Wiring:
    return Wiring(
        role=instance.role,
        mode=deployment.kv.mode,
        address=deployment.nodes[instance.parts[index].node].data_address,
        ports=ports,
        version=deployment.engine.version_tuple,
        first_rank=_first_rank(instance, index),
        buffer_device=deployment.kv.buffer_device,
    )
