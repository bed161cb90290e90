"""KV connectors: one file each, behind the `KvConnector` Protocol."""

from __future__ import annotations

from pdctl.engines.connectors.base import KvConnector
from pdctl.engines.connectors.decode_bench import DecodeBench
from pdctl.engines.connectors.moriio import MoriIo
from pdctl.engines.connectors.nixl import Nixl
from pdctl.engines.connectors.none import NoConnector
from pdctl.model.role import Connector, Role


def connector_for(connector: Connector, role: Role) -> KvConnector:
    """The connector of an instance; a mixed instance moves no KV, whatever the cluster's connector."""
    if role is Role.MIXED:
        return DecodeBench() if connector is Connector.DECODE_BENCH else NoConnector()
    match connector:
        case Connector.MORIIO:
            return MoriIo()
        case Connector.NIXL:
            return Nixl()
        case Connector.NONE | Connector.DECODE_BENCH:
            return NoConnector()
