"""What the inventory's `nodes` and `pools` amount to: slots, and settings merged from engine and pool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pdctl.inventory.document import Loc
from pdctl.inventory.schema import DEFAULT_SLOT, InventorySpec
from pdctl.model.deployment import ArgValue, Slot


@dataclass(frozen=True, slots=True)
class PlacedSlot:
    """A slot and where the inventory says it: `loc` is the node's or the slot's mapping."""

    slot: Slot
    loc: Loc


def slots_of(spec: InventorySpec) -> tuple[PlacedSlot, ...]:
    """Every slot in the inventory's order; a node that is not split has one, named `main`, with all its GPUs."""
    placed: list[PlacedSlot] = []
    for name, node in spec.nodes.items():
        if not node.slots:
            slot = Slot(name, DEFAULT_SLOT, tuple(range(node.gpus)), node.pool, node.group)
            placed.append(PlacedSlot(slot, ("nodes", name)))
        for key, part in node.slots.items():
            slot = Slot(name, key, part.gpus, part.pool, part.group)
            placed.append(PlacedSlot(slot, ("nodes", name, "slots", key)))
    return tuple(placed)


def merged_args(common: Mapping[str, ArgValue], own: Mapping[str, ArgValue]) -> dict[str, ArgValue]:
    """The engine's flags with the pool's over them; None removes a flag."""
    return {key: value for key, value in {**common, **own}.items() if value is not None}


def merged_env(common: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """The engine's environment with the pool's over it."""
    return {**common, **own}
