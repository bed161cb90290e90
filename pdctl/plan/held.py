"""What holds mean for a plan: which instances it leaves as they are, and which pools that leaves short."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pdctl.model.deployment import Deployment, Instance
from pdctl.model.hold import Hold, HoldKind, Holds
from pdctl.model.observed import Observed
from pdctl.model.unit import UnitState
from pdctl.plan.steps import Held


def slots_of(instance: Instance) -> tuple[str, ...]:
    """Ids of the slots that it lies in: one, or one on each node of a group."""
    return tuple(dict.fromkeys(f"{part.node}.{part.slot}" for part in instance.parts))


def hold_on(instance: Instance, standing: Mapping[str, Hold]) -> Hold | None:
    """The hold that keeps an instance out of service: on any slot that it lies in. A pin keeps none."""
    holds = (standing.get(slot) for slot in slots_of(instance))
    return next((hold for hold in holds if hold is not None and not hold.in_service), None)


def held_instances(deployment: Deployment, standing: Mapping[str, Hold]) -> Mapping[str, Hold]:
    """By instance name, the holds that keep them out of service."""
    found = {instance.name: hold_on(instance, standing) for instance in deployment.instances}
    return {name: hold for name, hold in found.items() if hold is not None}


def whose(hold: Hold) -> str:
    """`drained by ops@host: new fans`."""
    return f"{hold.kind.value} by {hold.by}" + (f": {hold.reason}" if hold.reason else "")


def left_alone(deployment: Deployment, observed: Observed, names: Iterable[str]) -> tuple[Held, ...]:
    """Those of the instances `names` that a hold keeps out of service, one entry for each held slot."""
    wanted = set(names)
    found: dict[str, Held] = {}
    for instance in deployment.instances:
        if instance.name not in wanted:
            continue
        for slot in slots_of(instance):
            hold = observed.holds.standing.get(slot)
            if hold is None or hold.in_service:
                continue
            serves = hold.kind is HoldKind.DRAINED and _is_listed(instance, observed)
            unfinished = "; it still serves, `pdctl drain` was cut short: run it again" if serves else ""
            found[slot] = Held(slot, hold, f"{whose(hold)}; left as it is{unfinished}")
    return tuple(found.values())


def kept_holds(observed: Observed, slots: Iterable[str]) -> tuple[Held, ...]:
    """The holds on `slots`, for a plan that takes things down: what is held stays held, and the next `up` sees it."""
    standing = observed.holds.standing
    return tuple(
        Held(slot, standing[slot], f"{whose(standing[slot])}; its hold stays") for slot in slots if slot in standing
    )


def hold_warnings(deployment: Deployment, holds: Holds) -> tuple[str, ...]:
    """In words: the pools that holds leave under their floor, or that nobody can say what is held."""
    if holds.trouble:
        return (f"which slots are held is not known: {holds.trouble}",)
    held = held_instances(deployment, holds.standing)
    short = []
    for pool in deployment.pools.values():
        names = [instance.name for instance in deployment.instances if instance.pool == pool.name]
        left = [name for name in names if name not in held]
        if len(left) < len(names) and len(left) < pool.min_instances:
            short.append(f"holds leave pool {pool.name} with {len(left)} of at least {pool.min_instances} instances")
    return tuple(short)


def _is_listed(instance: Instance, observed: Observed) -> bool:
    """Whether it runs and the list of members has it."""
    unit = observed.unit(instance.leader.name)
    if unit is None or unit.state is not UnitState.RUNNING or observed.membership is None:
        return False
    listed = observed.membership.listed
    return instance.name in (observed.membership.members if listed is None else listed)
