"""No connector: colocated engines that serve whole requests by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pdctl.engines.connectors.base import Pair, Params, Wiring
from pdctl.model.launch import FabricFacts, Ports
from pdctl.model.role import TransferMode


@dataclass(frozen=True, slots=True)
class NoConnector:
    """Nothing to configure, nothing to register: members are known to the router by their URL."""

    pins_rank: bool = False
    owned_env: frozenset[str] = frozenset()

    def transfer_config(self, wiring: Wiring) -> Params | None:
        return None

    def env(self, wiring: Wiring) -> Mapping[str, str]:
        return {}

    def fabric_env(self, fabric: FabricFacts, devices: tuple[str, ...]) -> Mapping[str, str]:
        return {}

    def zmq_address(self, address: str, ports: Ports) -> str:
        return ""

    def transfer_mode(self, mode: TransferMode) -> str | None:
        return None

    def prefill_first(self, mode: TransferMode) -> bool:
        return False

    def prefill_params(self, pair: Pair) -> Params | None:
        return None

    def decode_params(self, pair: Pair, answered: Params | None) -> Params | None:
        return None
