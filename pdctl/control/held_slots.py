"""Which slots a command holds: whole ones, since a slot is the unit of a hold as it is of a move."""

from __future__ import annotations

from pdctl.errors import UsageError
from pdctl.inventory.select import Selection
from pdctl.plan.drain import not_whole


def whole_slots(chosen: Selection) -> tuple[str, ...]:
    """Ids of the selected slots. Raises UsageError where an instance was named that shares its slot with others."""
    slots = tuple(slot.id for slot in chosen.slots)
    apart = not_whole(chosen.instances, slots)
    if apart:
        raise UsageError(
            f"{apart[0]} is only a part of its slot, and a hold is on whole slots",
            hint=f"name the slot: {apart[0].rpartition('.')[0]}",
        )
    return slots
