"""What the rest of the engines room asks of a KV connector: its launch settings, its address, its request contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from pdctl.model.launch import FabricFacts, Ports, Registration
from pdctl.model.role import Role, TransferMode

Params: TypeAlias = Mapping[str, Any]
"""A JSON object: `--kv-transfer-config`, or a request's `kv_transfer_params`."""

KV_ROLE = {Role.PREFILL: "kv_producer", Role.DECODE: "kv_consumer"}
"""vLLM's `kv_role`. `kv_both` is never used to move KV: broken under MoRI-IO, deprecated for NIXL (vLLM 0.33)."""


@dataclass(frozen=True, slots=True)
class Wiring:
    """What one part of an instance must know to move KV. `first_rank` is the global DP rank of its first engine.

    `role` is prefill or decode: mixed instances have no connector.
    """

    role: Role
    mode: TransferMode
    address: str
    ports: Ports
    version: tuple[int, ...]
    first_rank: int = 0
    buffer_device: str | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """One request's two ends, as the router knows them, and the DP ranks that it was pinned to."""

    mode: TransferMode
    prefill: Registration
    decode: Registration
    transfer_id: str
    prefill_rank: int = 0
    decode_rank: int = 0


class KvConnector(Protocol):
    """One way to move KV between engines. Stateless."""

    @property
    def owned_env(self) -> frozenset[str]:
        """Environment variables that the inventory's `env` may not set, because `env` or the config decides them."""
        ...

    @property
    def pins_rank(self) -> bool:
        """Whether the router pins each leg's DP rank with the `X-data-parallel-rank` header."""
        ...

    def transfer_config(self, wiring: Wiring) -> Params | None:
        """`--kv-transfer-config` of one part; None where the flag is left out."""
        ...

    def env(self, wiring: Wiring) -> Mapping[str, str]:
        """Environment of one part."""
        ...

    def fabric_env(self, fabric: FabricFacts, devices: tuple[str, ...]) -> Mapping[str, str]:
        """Environment that tells its transport what the node's fabric is. The inventory's own `env` wins over it.

        Args:
            devices: the RDMA devices for this part, in the order of rails.
        """
        ...

    def zmq_address(self, address: str, ports: Ports) -> str:
        """How peers reach the instance for KV, as the router's registration message spells it."""
        ...

    def transfer_mode(self, mode: TransferMode) -> str | None:
        """The registration's `transfer_mode`; None where the message has no such field."""
        ...

    def prefill_first(self, mode: TransferMode) -> bool:
        """Whether the router waits for the prefill's answer before it asks decode, or asks both at once."""
        ...

    def prefill_params(self, pair: Pair) -> Params | None:
        """`kv_transfer_params` of the prefill leg."""
        ...

    def decode_params(self, pair: Pair, answered: Params | None) -> Params | None:
        """`kv_transfer_params` of the decode leg; `answered` is what the prefill gave back, if it was waited for."""
        ...
