"""Plan `undrain`: take the holds away, then bring back what they kept out of service, as `up` would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pdctl.model.deployment import Deployment
from pdctl.model.hold import Holds
from pdctl.model.observed import Observed
from pdctl.model.unit import UnitState
from pdctl.plan.held import held_instances, slots_of, whose
from pdctl.plan.steps import ROUTER, Action, Change, ChangeKind, Plan, Step, step_id


def released(observed: Observed, slots: Sequence[str]) -> tuple[str, ...]:
    """Those of `slots` that are held; a hold that ran out is taken away like one that stands."""
    held = {hold.slot for hold in observed.holds.all}
    return tuple(slot for slot in slots if slot in held)


def without(observed: Observed, slots: Sequence[str]) -> Observed:
    """The same cluster with nothing held on `slots`."""
    holds = observed.holds
    standing = {slot: hold for slot, hold in holds.standing.items() if slot not in slots}
    expired = {slot: hold for slot, hold in holds.expired.items() if slot not in slots}
    return replace(observed, holds=Holds(standing, expired, holds.trouble))


def brought_back(deployment: Deployment, observed: Observed, slots: Sequence[str]) -> frozenset[str]:
    """Instances that nothing holds any more once the holds on `slots` are away. None where the cluster is down: `up`
    starts them with the rest."""
    if _is_down(deployment, observed):
        return frozenset()
    still = held_instances(deployment, without(observed, slots).holds.standing)
    gone = set(slots)
    before = held_instances(deployment, observed.holds.standing)
    expired = observed.holds.expired
    return frozenset(
        instance.name
        for instance in deployment.instances
        if instance.name not in still
        and gone.intersection(slots_of(instance))
        and (instance.name in before or any(slot in expired for slot in slots_of(instance)))
    )


def plan_undrain(deployment: Deployment, observed: Observed, slots: Sequence[str], back: Plan | None) -> Plan:
    """The holds on `slots` go first; `back`, a plan of `up` for what they held, waits for them.

    `back` None: the cluster is down, or the holds kept nothing out of service.
    """
    everyone = {hold.slot: hold for hold in observed.holds.all}
    node = deployment.lease_node
    changes = tuple(Change(ChangeKind.RELEASE, slot, node, whose(everyone[slot])) for slot in slots)
    releases = tuple(Step(Action.RELEASE, slot, node, whose(everyone[slot])) for slot in slots)
    if back is None:
        down = slots and _is_down(deployment, observed)
        warnings = ("the cluster is down: `pdctl up` starts what was held with the rest",) if down else ()
        return Plan("undrain", changes, releases, warnings=warnings)
    own = {instance.name: slots_of(instance) for instance in deployment.instances}

    def waiting(step: Step) -> Step:
        needs = tuple(step_id(Action.RELEASE, slot) for slot in own.get(step.subject, ()) if slot in slots)
        return replace(step, needs=(*step.needs, *needs))

    steps = (*releases, *(waiting(step) for step in back.steps))
    return replace(back, command="undrain", changes=(*changes, *back.changes), steps=steps)


def _is_down(deployment: Deployment, observed: Observed) -> bool:
    """Whether the router is known not to run."""
    router = observed.unit(ROUTER)
    return deployment.router.node in observed.nodes and (router is None or router.state is not UnitState.RUNNING)
