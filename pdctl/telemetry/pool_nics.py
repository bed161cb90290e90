"""What the RDMA ports of a pool's nodes received, where they serve that pool alone. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from pdctl.model.figure import Fig, Figure
from pdctl.model.reading import Unknown
from pdctl.model.snapshot import WINDOWS_S, NodeFigures

Holders = Mapping[str, frozenset[str]]
"""By node, the pools that its slots belong to."""


def pool_nic_bytes(pool: str, holders: Holders, nodes: Mapping[str, NodeFigures]) -> dict[int, Fig]:
    """By window, bytes per second. Unknown, with the reason, where one port of one node is, or serves others too."""
    longer = Unknown(f"port counters are kept for {WINDOWS_S[0]} s")
    return {window_s: _received(pool, holders, nodes) if window_s == WINDOWS_S[0] else longer for window_s in WINDOWS_S}


def _received(pool: str, holders: Holders, nodes: Mapping[str, NodeFigures]) -> Fig:
    mine = [node for node, pools in holders.items() if pool in pools]
    total, age_s = 0.0, 0.0
    for node in mine:
        others = sorted(holders[node] - {pool})
        if others:
            return Unknown(f"{node} holds slots of {', '.join(others)} too: its ports carry their traffic")
        seen = nodes.get(node)
        if seen is None or not seen.nics:
            return Unknown(f"{node}: {seen.why if seen is not None and seen.why else 'no RDMA device is seen'}")
        for nic in seen.nics:
            if isinstance(nic.rx_bytes, Unknown):
                return Unknown(f"{node} {nic.device}: {nic.rx_bytes.reason}")
            total += nic.rx_bytes.low
            age_s = max(age_s, nic.rx_bytes.age_s)
    if not mine:
        return Unknown("it is not known which nodes the pool has")
    return Figure.exact(total, age_s, note="all RDMA traffic that its nodes received")
