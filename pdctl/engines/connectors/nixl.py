"""NIXL (vLLM's NixlConnector): KV over UCX, pulled by decode after the prefill answered.

Settings: vLLM 0.33 nixl/base_scheduler.py, which listens on `VLLM_NIXL_SIDE_CHANNEL_PORT` + global DP rank. Request
parameters: as vllm-router 0.1.17 was measured to send them. The transfer mode of the inventory does not apply.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pdctl.engines.connectors.base import KV_ROLE, Pair, Params, Wiring
from pdctl.model.launch import FabricFacts, Ports
from pdctl.model.role import TransferMode


@dataclass(frozen=True, slots=True)
class Nixl:
    """`buffer_device` is left to vLLM (the platform's own) unless the inventory names it; CPU runs need `cpu`."""

    pins_rank: bool = False
    owned_env: frozenset[str] = frozenset({"VLLM_NIXL_SIDE_CHANNEL_HOST", "VLLM_NIXL_SIDE_CHANNEL_PORT"})

    def transfer_config(self, wiring: Wiring) -> Params | None:
        config = {"kv_connector": "NixlConnector", "kv_role": KV_ROLE[wiring.role]}
        if wiring.buffer_device:
            config["kv_buffer_device"] = wiring.buffer_device
        return config

    def env(self, wiring: Wiring) -> Mapping[str, str]:
        # Base minus our first global rank: the ranks of this part then land inside its own block.
        return {
            "VLLM_NIXL_SIDE_CHANNEL_HOST": wiring.address,
            "VLLM_NIXL_SIDE_CHANNEL_PORT": str(wiring.ports.side_channel - wiring.first_rank),
        }

    def fabric_env(self, fabric: FabricFacts, devices: tuple[str, ...]) -> Mapping[str, str]:
        """Names: UCX's ib_iface.c and ucp_context.c; a device is named with its port."""
        return {
            name: str(value)
            for name, value in (
                ("UCX_NET_DEVICES", ",".join(f"{device}:1" for device in devices)),
                ("UCX_IB_GID_INDEX", fabric.gid_index),
                ("UCX_IB_TRAFFIC_CLASS", fabric.traffic_class),
                ("UCX_IB_SL", fabric.service_level),
            )
            if value not in (None, "")
        }

    def zmq_address(self, address: str, ports: Ports) -> str:
        return f"{address}:{ports.side_channel}"

    def transfer_mode(self, mode: TransferMode) -> str | None:
        return None

    def prefill_first(self, mode: TransferMode) -> bool:
        return True

    def prefill_params(self, pair: Pair) -> Params | None:
        return {
            "do_remote_decode": True,
            "do_remote_prefill": False,
            "remote_engine_id": None,
            "remote_block_ids": None,
            "remote_host": None,
            "remote_port": None,
        }

    def decode_params(self, pair: Pair, answered: Params | None) -> Params | None:
        return dict(answered or {})
