"""What a move makes of the inventory: the edited text, checked whole before anything happens, and its deployment."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from pdctl.control.request import MoveRequest
from pdctl.errors import InventoryError, PlanRefused, UsageError
from pdctl.inventory.edit import loc_of, set_pool, set_scalar
from pdctl.inventory.load import Inventory, parse
from pdctl.inventory.place import place
from pdctl.inventory.select import select
from pdctl.model.deployment import Deployment, Instance, Slot
from pdctl.plan.drain import not_whole
from pdctl.plan.held import slots_of
from pdctl.plan.shift import Shift, shifts_between

SPARE = "none"
"""The pool that is none: `move NODE --to none` makes its slots spares."""


@dataclass(frozen=True, slots=True)
class Edited:
    """The deployment before and after a move, and what changes between them. `there`: instances of selected slots that
    are in the pool already."""

    inventory: Inventory
    before: Deployment
    after: Deployment
    shifts: tuple[Shift, ...]
    there: tuple[Instance, ...] = ()


def edited(inventory: Inventory, before: Deployment, request: MoveRequest) -> Edited:
    """What the request comes to. Slots that are in that pool already are no part of it.

    Raises UsageError for names that are not there, InventoryError where the file would not be valid any more (all of
    it), PlanRefused where a pool would fall below its floor, or the pool is not written as one word of its own.
    """
    pool = None if request.to == SPARE else request.to
    if pool is not None and pool not in before.pools:
        known = ", ".join([*before.pools, SPARE])
        raise UsageError(f"there is no pool {request.to!r} in the inventory", hint=f"pools: {known}")
    chosen = select(before, request.selectors)
    slots = tuple(slot for slot in chosen.slots if slot.pool != pool)
    apart = not_whole(chosen.instances, tuple(slot.id for slot in chosen.slots))
    if apart:
        whole = slots_of(before.instance(apart[0]))[0]
        raise UsageError(f"{apart[0]} is only a part of its slot, and whole slots are moved", hint=f"name it: {whole}")
    _refuse_floors(before, slots)
    text = with_pools(inventory.text, slots, pool)
    try:
        after = place(parse(text.encode(), inventory.path))
    except InventoryError as error:
        raise InventoryError(
            f"with {', '.join(slot.id for slot in slots)} in {pool or 'no pool'} the inventory would not be valid",
            problems=error.problems,
            hint=error.hint,
        ) from None
    there = tuple(each for each in chosen.instances if each.pool == pool)
    return Edited(inventory, before, after, shifts_between(before, after), there)


def with_pools(text: str, slots: Iterable[Slot], pool: str | None) -> str:
    """`text` with the pool of every one of `slots` replaced: one scalar each, every other byte kept."""
    for slot in slots:
        text = _with_pool(text, slot, pool)
    return text


def digest_of(text: str) -> str:
    """The digest that a file of that text has (`Inventory.digest`)."""
    return hashlib.sha256(text.encode()).hexdigest()


def _with_pool(text: str, slot: Slot, pool: str | None) -> str:
    if pool is not None:
        return set_pool(text, slot.node, slot.name, pool)
    split = f"nodes.{slot.node}.slots.{slot.name}.pool"
    try:
        loc = loc_of(text, split)
    except PlanRefused:
        loc = loc_of(text, f"nodes.{slot.node}.pool")
    return set_scalar(text, loc, None)


def _refuse_floors(before: Deployment, leaving: tuple[Slot, ...]) -> None:
    """A pool that would be below its floor by the inventory itself: nothing but another floor helps."""
    gone = {slot.id for slot in leaving}
    for pool in before.pools.values():
        size = [each for each in before.instances if each.pool == pool.name]
        left = [each for each in size if gone.isdisjoint(slots_of(each))]
        if len(left) < min(len(size), pool.min_instances):
            raise PlanRefused(
                f"pool {pool.name} would be left with {len(left)} of at least {pool.min_instances} instances",
                hint=f"move fewer slots, or lower pools.{pool.name}.min_instances",
            )
