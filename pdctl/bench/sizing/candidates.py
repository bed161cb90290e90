"""Candidates as inventories: files that `pdctl validate` accepts and `bench compare` brings up. Pure."""

from __future__ import annotations

from pathlib import Path

from pdctl.bench.sizing.derive import Draft, PoolDraft, cluster_name, derived
from pdctl.bench.sizing.layouts import Layout, placed
from pdctl.inventory.load import Inventory
from pdctl.model.role import Role

_LIKE = {
    Role.PREFILL: (Role.PREFILL, Role.MIXED),
    Role.DECODE: (Role.DECODE, Role.MIXED),
    Role.MIXED: (Role.MIXED, Role.DECODE),
}


def candidate(base: Inventory, layout: Layout, directory: Path) -> Inventory:
    """`layout` on the nodes of `base`, as `directory/<name>.yaml`; the rest of its nodes stay as spares.

    Raises PlanRefused where it does not fit on them, InvalidInventory where the rules refuse it.
    """
    sizes = {name: node.gpus for name, node in base.spec.nodes.items()}
    where = placed(layout, sizes)
    slots = {
        node: {group.role.value: (gpus, group.role.value) for group, gpus in groups.items()}
        for node, groups in where.items()
    }
    draft = Draft(
        cluster=cluster_name(base.spec.cluster, layout.name),
        pools={group.role.value: PoolDraft(group.role, group.width, _LIKE[group.role]) for group in layout.groups},
        slots=slots,
        kv=_kv(base, layout),
        says=(
            f"{layout.name} ({layout.gpus} GPUs), written by pdctl from {base.path.name}.",
            "Only one of its candidates can run at a time: they share nodes and the router's port.",
        ),
    )
    return derived(base, draft, directory / f"{layout.name}.yaml")


def _kv(base: Inventory, layout: Layout) -> dict[str, str]:
    """The old inventory's way of moving KV where it has one, else MoRI-IO."""
    kv = base.spec.kv
    if all(group.role is Role.MIXED for group in layout.groups):
        return {"connector": "none"}
    if not kv.connector.moves_kv:
        return {"connector": "moriio", "mode": "write"}
    found = {"connector": kv.connector.value, "mode": kv.mode.value}
    return found | ({"buffer_device": kv.buffer_device} if kv.buffer_device else {})
