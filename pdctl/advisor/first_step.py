"""The first move on the way to another split: which kind of slot changes its role, and which slot of that kind."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from pdctl.advisor.fleet_of import kind_of
from pdctl.advisor.split import Split
from pdctl.model.deployment import Deployment, Slot
from pdctl.model.figure import Figure
from pdctl.model.role import Role
from pdctl.model.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Step:
    """A slot of that `kind` leaves the role of `donor` for the opposite one."""

    kind: str
    donor: Role


def first_step(now: Split, then: Split) -> Step | None:
    """The first of the moves from one split to another of the same fleet, those that leave decode before the others;
    None where there is none, or where it is no matter of single slots."""
    if now.prefill is None or then.prefill is None:
        return None
    before, after = now.prefill, then.prefill
    differ = sorted(
        (kind for kind in after if before[kind] != after[kind]), key=lambda kind: before[kind] > after[kind]
    )
    if not differ:
        return None
    return Step(differ[0], Role.DECODE if before[differ[0]] < after[differ[0]] else Role.PREFILL)


def donor_slot(
    deployment: Deployment, role: Role, snapshot: Snapshot | None, held: Collection[str], kind: str = ""
) -> Slot | None:
    """The slot of that role (and kind) with least in hand; None where there is none. Those on the router's node come
    last, since all clients hang on it; those of `held` (ids) are nobody's to move."""
    free = [
        slot
        for slot in deployment.slots
        if slot.pool
        and deployment.pools[slot.pool].role is role
        and slot.id not in held
        and kind in ("", kind_of(deployment, slot))
    ]
    return min(free, key=lambda slot: (slot.node == deployment.router.node, in_hand(slot, snapshot)), default=None)


def in_hand(slot: Slot, snapshot: Snapshot | None) -> float:
    """Requests that run or wait on the engines of a slot, as far as they are known."""
    seen = snapshot.instances.values() if snapshot is not None else ()
    return sum(
        figure.middle
        for each in seen
        if (each.node, each.slot) == (slot.node, slot.name)
        for figure in (each.load.running, each.load.waiting)
        if isinstance(figure, Figure)
    )


def as_seen(deployment: Deployment, snapshot: Snapshot) -> Deployment:
    """The deployment with every slot in the pool that its engines were seen in: a move changes that, and a recording is
    of another day. What is not seen stays as the inventory says."""
    pools = {(each.node, each.slot): each.pool for each in snapshot.instances.values()}
    slots = (
        replace(slot, pool=pool)
        if slot.pool is not None and (pool := pools.get((slot.node, slot.name))) in deployment.pools
        else slot
        for slot in deployment.slots
    )
    return replace(deployment, slots=tuple(slots))
