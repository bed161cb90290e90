"""What a move changes: slots whose pool differs between two deployments, with who leaves them and who comes."""

from __future__ import annotations

from dataclasses import dataclass

from pdctl.model.deployment import Deployment, Instance, Slot
from pdctl.plan.held import slots_of
from pdctl.plan.steps import Action, step_id


@dataclass(frozen=True, slots=True)
class Shift:
    """One unit of a move: a slot, or all slots of a group. Its pools before and after; None is a spare's.

    `leaving` are the instances that it holds before, `coming` those after; other shapes have other names.
    """

    slots: tuple[Slot, ...]
    origin: str | None
    to: str | None
    leaving: tuple[Instance, ...]
    coming: tuple[Instance, ...]

    @property
    def name(self) -> str:
        """The slot's id, or the group's name: the subject of the steps that write the inventory."""
        return self.slots[0].group or self.slots[0].id

    @property
    def node(self) -> str:
        return self.slots[0].node

    @property
    def words(self) -> str:
        return f"{self.origin or 'spare'} -> {self.to or 'spare'}"

    @property
    def commit(self) -> str:
        """The id of the step that writes the inventory."""
        return step_id(Action.COMMIT, self.name)


def shifts_between(before: Deployment, after: Deployment) -> tuple[Shift, ...]:
    """Every slot that is in another pool in `after`, in the inventory's order; a group stands where its first slot is.

    Both deployments have the same slots.
    """
    pools = {slot.id: slot.pool for slot in after.slots}
    groups: dict[str, list[Slot]] = {}
    for slot in before.slots:
        if slot.pool != pools[slot.id]:
            groups.setdefault(slot.group or slot.id, []).append(slot)
    return tuple(
        Shift(
            slots=tuple(slots),
            origin=slots[0].pool,
            to=pools[slots[0].id],
            leaving=_in_slots(before, slots),
            coming=_in_slots(after, slots),
        )
        for slots in groups.values()
    )


def _in_slots(deployment: Deployment, slots: list[Slot]) -> tuple[Instance, ...]:
    ids = {slot.id for slot in slots}
    return tuple(each for each in deployment.instances if ids.intersection(slots_of(each)))
