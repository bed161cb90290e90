"""MoRI-IO (vLLM's MoRIIOConnector): KV over RDMA between AMD GPUs, pulled (READ) or pushed layer by layer (WRITE).

Keys and ports: vLLM 0.33 moriio_common.py and moriio_connector.py. Request parameters: as vllm-router 0.1.17 was
measured to send them with unequal DP and TP sizes on the two sides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pdctl.engines.connectors.base import KV_ROLE, Pair, Params, Wiring
from pdctl.model.launch import FabricFacts, Ports
from pdctl.model.role import TransferMode

HOST_IP_SINCE = (0, 24)
"""`host_ip` in the connector's config; before that the process's VLLM_HOST_IP decides alone."""

READ_MODE_VARIABLE = "VLLM_MORIIO_CONNECTOR_READ_MODE"
"""Effective up to vLLM 0.22, ignored from 0.23 on, where `read_mode` in the config decides. Both are always set."""


@dataclass(frozen=True, slots=True)
class MoriIo:
    """Engines never register themselves (`proxy_ip` empty: no heartbeat is sent); the registrar does it for them."""

    pins_rank: bool = True
    owned_env: frozenset[str] = frozenset({READ_MODE_VARIABLE})

    def transfer_config(self, wiring: Wiring) -> Params | None:
        ports = wiring.ports
        extra = {
            "proxy_ip": "",
            "proxy_ping_port": "0",
            "http_port": str(ports.http),
            "handshake_port": str(ports.handshake),
            "notify_port": str(ports.notify),
            "read_mode": "true" if wiring.mode is TransferMode.READ else "false",
        }
        if wiring.version >= HOST_IP_SINCE:
            extra["host_ip"] = wiring.address
        return {
            "kv_connector": "MoRIIOConnector",
            "kv_role": KV_ROLE[wiring.role],
            "kv_connector_extra_config": extra,
        }

    def env(self, wiring: Wiring) -> Mapping[str, str]:
        return {READ_MODE_VARIABLE: "1"} if wiring.mode is TransferMode.READ else {}

    def fabric_env(self, fabric: FabricFacts, devices: tuple[str, ...]) -> Mapping[str, str]:
        """Names: MoRI's src/application/transport/rdma/rdma.cpp, socket_bootstrap.cpp. Device k is rank k's rail."""
        return {
            name: str(value)
            for name, value in (
                ("MORI_RDMA_DEVICES", ",".join(devices)),
                ("MORI_IB_GID_INDEX", fabric.gid_index),
                ("MORI_SOCKET_IFNAME", fabric.socket_interface),
                ("MORI_RDMA_TC", fabric.traffic_class),
                ("MORI_RDMA_SL", fabric.service_level),
            )
            if value not in (None, "")
        }

    def zmq_address(self, address: str, ports: Ports) -> str:
        return f"host:{address},handshake:{ports.handshake},notify:{ports.notify}"

    def transfer_mode(self, mode: TransferMode) -> str | None:
        return mode.value.upper()

    def prefill_first(self, mode: TransferMode) -> bool:
        return mode is TransferMode.READ

    def prefill_params(self, pair: Pair) -> Params | None:
        params: dict[str, Any] = {
            "do_remote_decode": True,
            "do_remote_prefill": False,
            "remote_engine_id": None,
            "remote_block_ids": None,
            "transfer_id": pair.transfer_id,
            "remote_dp_size": pair.decode.dp_size,
        }
        if pair.mode is TransferMode.WRITE:
            params["remote_tp_size"] = pair.decode.tp_size
            if pair.decode.dp_size > 1:
                params["remote_dp_rank"] = pair.decode_rank
        return params

    def decode_params(self, pair: Pair, answered: Params | None) -> Params | None:
        if pair.mode is TransferMode.READ:
            return {**(answered or {}), "remote_dp_size": pair.prefill.dp_size}
        params: dict[str, Any] = {
            "do_remote_decode": False,
            "do_remote_prefill": True,
            "remote_engine_id": None,
            "remote_block_ids": None,
            "transfer_id": pair.transfer_id,
            "remote_dp_size": pair.prefill.dp_size,
            "remote_tp_size": pair.prefill.tp_size,
        }
        if pair.prefill.dp_size > 1:
            params["remote_dp_rank"] = pair.prefill_rank
        return params
