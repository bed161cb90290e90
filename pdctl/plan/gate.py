"""The gate before a start: which instances a plan launches, which of them may not, and what is left of each pool."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pdctl.model.deployment import Deployment
from pdctl.model.observed import Trouble
from pdctl.plan.steps import Action, Plan


def launched(plan: Plan) -> tuple[str, ...]:
    """Names of the instances that the plan starts, in its order. Adopted ones run already, and are not among them."""
    return tuple(step.subject for step in plan.steps if step.action is Action.START)


def refused(deployment: Deployment, names: Iterable[str], unfit: Mapping[str, Trouble]) -> Mapping[str, Trouble]:
    """Those of the instances `names` that hold a slot in `unfit` (by slot id), each with its first such trouble."""
    found: dict[str, Trouble] = {}
    for name in names:
        slots = [f"{part.node}.{part.slot}" for part in deployment.instance(name).parts]
        trouble = next((unfit[slot] for slot in slots if slot in unfit), None)
        if trouble is not None:
            found[name] = trouble
    return found


def short_of_floor(deployment: Deployment, lost: Iterable[str], held: Iterable[str] = ()) -> tuple[str, ...]:
    """In words, the pools that would stay under their floor without the instances `lost`; those that are `held` do not
    count either, but leave no pool short by themselves."""
    unfit, gone = set(lost), {*lost, *held}
    short = []
    for pool in deployment.pools.values():
        members = [instance.name for instance in deployment.instances if instance.pool == pool.name]
        left = [name for name in members if name not in gone]
        if not unfit.isdisjoint(members) and len(left) < pool.min_instances:
            short.append(f"pool {pool.name} would have {len(left)} of at least {pool.min_instances}")
    return tuple(short)
