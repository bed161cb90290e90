"""The inventory of one batch: a cluster of its own on one node, with one pool for each configuration. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pdctl.bench.sizing.derive import Draft, PoolDraft, cluster_name, derived
from pdctl.bench.sizing.points import Phase
from pdctl.bench.sweeps.configuration import Configuration
from pdctl.inventory.load import Inventory
from pdctl.model.role import Connector, Role

SWEEP: Final = "sweep"
_PORTS = 10  # a router's own and the nine above it
_LIKE: Final = {
    Phase.PREFILL: (Role.PREFILL, Role.MIXED),
    Phase.DECODE: (Role.DECODE, Role.MIXED),
    Phase.AGGREGATED: (Role.MIXED, Role.DECODE),
}


def lane_cluster(base: str, node: str) -> str:
    """The cluster of a node's batches, one after another: `<base>-sweep-<node>`."""
    return cluster_name(base, f"{SWEEP}-{node}")


def lane_inventory(base: Inventory, node: str, batch: Sequence[Configuration], path: Path) -> Inventory:
    """`batch`, all of one phase and no more than the node holds, on the GPUs of `node`, in the batch's order, as it
    would be at `path`.

    The router stays on the old inventory's node, where its program is, on ports of its own; the load does not go
    through it. Raises InvalidInventory where the rules refuse a width.
    """
    phase = batch[0].phase
    slots: dict[str, tuple[tuple[int, ...], str]] = {}
    first = 0
    for each in batch:
        slots[each.name] = (tuple(range(first, first + each.width.gpus)), each.name)
        first += each.width.gpus
    spec = base.spec
    lane = list(spec.nodes).index(node)
    name = lane_cluster(spec.cluster, node)
    connector = Connector.DECODE_BENCH if phase is Phase.DECODE else Connector.NONE
    draft = Draft(
        cluster=name,
        pools={each.name: PoolDraft(Role.MIXED, each.width, _LIKE[phase]) for each in batch},
        slots={node: slots},
        kv={"connector": connector.value},
        nodes=frozenset({node, spec.router.node}),
        router={"kind": "vllm-router", "port": _port(spec.router.port, lane)},
        says=(f"A {phase} sweep on {node}, written by pdctl from {base.path.name}.",),
    )
    return derived(base, draft, path)


def _port(port: int, lane: int) -> int:
    """Where no other lane's router listens: nodes may share an address."""
    wanted = port + _PORTS * (lane + 1)
    return wanted if wanted < 65_520 else port - _PORTS * (lane + 1)
