"""What a plan does to the capacity of each pool at its worst moment, and whether that breaks a floor."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pdctl.model.deployment import Deployment
from pdctl.model.observed import MembershipSeen, Observed
from pdctl.model.role import UnitKind
from pdctl.model.unit import UnitState, UnitStatus
from pdctl.plan.steps import Action, Plan, Step, step_id


@dataclass(frozen=True, slots=True)
class PoolDip:
    """Instances of one pool that serve before the plan, at its worst moment if every step takes its longest, and after
    it. `floor` is 0 for a pool that the inventory does not have any more."""

    pool: str
    before: int
    least: int
    after: int
    floor: int

    @property
    def breaks_floor(self) -> bool:
        """Whether the plan takes it below its floor, or further below than it is."""
        return self.least < min(self.floor, self.before)


def pool_dips(deployment: Deployment, observed: Observed, plan: Plan) -> tuple[PoolDip, ...]:
    """The dip of every pool that the plan touches, in the inventory's order; pools that are no more come last."""
    serving = serving_pools(deployment, observed)
    wanted = {instance.name: instance.pool for instance in deployment.instances}
    fences = {step.subject for step in plan.steps if step.action is Action.FENCE}
    registers = {step.subject for step in plan.steps if step.action is Action.REGISTER}
    touched = {serving[name] for name in fences if name in serving} | {wanted[name] for name in registers}
    order = [*deployment.pools, *sorted(touched - deployment.pools.keys())]
    found = []
    for pool in (name for name in order if name in touched):
        leaving = {name for name in fences if serving.get(name) == pool}
        joining = {name for name in registers if wanted[name] == pool}
        before = sum(1 for joined in serving.values() if joined == pool)
        kept = {name for name, joined in serving.items() if joined == pool and name not in leaving}
        least = before - most_out(plan, leaving, joining)
        spec = deployment.pools.get(pool)
        found.append(PoolDip(pool, before, least, len(kept | joining), spec.min_instances if spec is not None else 0))
    return tuple(found)


def below_floor(dips: Iterable[PoolDip]) -> tuple[str, ...]:
    """In words, the pools that a plan would take below their floor."""
    return tuple(
        f"pool {dip.pool} would have {dip.least} of at least {dip.floor} for a while"
        if dip.after >= dip.floor
        else f"pool {dip.pool} would be left with {dip.after} of at least {dip.floor}"
        for dip in dips
        if dip.breaks_floor
    )


def serving_pools(deployment: Deployment, observed: Observed) -> dict[str, str]:
    """Who serves now, with the pool that it was launched for; a member whose registrar is not heard counts, too.

    Who was taken off the list does not, although the registrar's word may be a moment older than the list, nor who is
    withheld because it does not answer. Of a node that cannot be asked the registrar's word counts alone.
    """
    followers = {part.name for instance in deployment.instances for part in instance.parts[1:]}
    seen = {
        unit.labels.instance: unit.labels.pool
        for unit in observed.units.values()
        if unit.labels.kind is UnitKind.ENGINE
        and unit.state is UnitState.RUNNING
        and unit.labels.instance not in followers
        and _may_be_chosen(unit, observed.membership)
    }
    members = observed.membership.members if observed.membership is not None else {}
    unseen = {
        instance.name: instance.pool
        for instance in deployment.instances
        if instance.leader.node in observed.unreachable
        and (member := members.get(instance.name)) is not None
        and member.registered
    }
    return {**unseen, **seen}


def _may_be_chosen(unit: UnitStatus, membership: MembershipSeen | None) -> bool:
    if membership is None:
        return True
    name, listed = unit.labels.instance, membership.listed
    if listed is not None and listed.get(name) != unit.labels.generation:
        return False
    member = membership.members.get(name)
    return member is not None and (member.registered or not membership.router_reachable)


def most_out(plan: Plan, leaving: set[str], joining: set[str]) -> int:
    """The most that are out at once: fenced before anything that does not have to come first is registered.

    For each fence, everything that must have ended before it has, and all other fences that need no more than that are
    done too. Exact where turns are waves of one another, as `waves` lays them.
    """
    by_id = {step.id: step for step in plan.steps}
    fences = [step_id(Action.FENCE, name) for name in leaving]
    registers = {step_id(Action.REGISTER, name) for name in joining}
    before = {fence: _earlier(by_id, fence) & registers for fence in fences}
    out = [sum(1 for other in fences if before[other] <= before[fence]) - len(before[fence]) for fence in fences]
    return max(out, default=0)


def _earlier(steps: dict[str, Step], name: str) -> set[str]:
    found: set[str] = set()
    todo = [name]
    while todo:
        step = steps[todo.pop()]
        todo += [each for each in step.needs if each not in found]
        found.update(step.needs)
    return found
