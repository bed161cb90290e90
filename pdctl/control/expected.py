"""What telemetry should expect: the instances of the deployment as their units were last seen. Pure."""

from __future__ import annotations

from pdctl.model.deployment import Deployment, Instance
from pdctl.model.observed import MembershipSeen, Observed, Trouble
from pdctl.model.role import Role
from pdctl.model.snapshot import NOT_RUNNING, Vital
from pdctl.model.unit import UnitState, UnitStatus
from pdctl.plan.held import hold_on, whose
from pdctl.plan.steps import ROUTER
from pdctl.telemetry.instance import Expected
from pdctl.telemetry.router import RouterSight

_VITALS = {
    UnitState.RUNNING: Vital.UP,
    UnitState.STOPPING: Vital.DRAINING,
    UnitState.EXITED: Vital.DOWN,
    UnitState.FAILED: Vital.DOWN,
    UnitState.ABSENT: Vital.DOWN,
    UnitState.UNKNOWN: Vital.UNKNOWN,
}


def unseen_instances(deployment: Deployment) -> list[Expected]:
    """Before the first look: nothing is known of any."""
    nothing = Observed({}, {name: Trouble("not looked at yet") for name in deployment.nodes})
    return expected_instances(deployment, nothing)


def moved_notes(deployment: Deployment, observed: Observed) -> tuple[str, ...]:
    """What the reader must know where instances serve other pools than the inventory says that was read."""
    moved = [
        f"{instance.name} ({pool})"
        for instance in deployment.instances
        if (pool := _serves(instance, observed.unit(instance.leader.name))[0]) != instance.pool
    ]
    if not moved:
        return ()
    return (f"moved since the inventory was read: {', '.join(moved)}; start this anew to see all of them",)


def holders(deployment: Deployment, observed: Observed | None = None) -> dict[str, frozenset[str]]:
    """By node, the pools whose slots lie there, or whose units run there. A machine with two entries counts once."""
    machines = {name: node.host_id or name for name, node in deployment.nodes.items()}
    pools: dict[str, set[str]] = {}
    for slot in deployment.slots:
        if slot.pool is not None:
            pools.setdefault(machines[slot.node], set()).add(slot.pool)
    for node, view in observed.nodes.items() if observed is not None else ():
        pools.setdefault(machines[node], set()).update(unit.labels.pool for unit in view.units if unit.labels.pool)
    first: dict[str, str] = {}
    for name, machine in machines.items():
        first.setdefault(machine, name)
    return {name: frozenset(pools.get(machine, ())) for machine, name in first.items()}


def expected_instances(deployment: Deployment, observed: Observed) -> list[Expected]:
    """One entry per instance of the deployment. A running engine that is no member may still be loading."""
    return [_expected(instance, observed) for instance in deployment.instances]


def metrics_targets(deployment: Deployment, observed: Observed) -> dict[str, dict[str, tuple[str, int, str]]]:
    """By node, what to scrape there: (host, port, path) by instance name, of the engines whose leader runs."""
    targets: dict[str, dict[str, tuple[str, int, str]]] = {name: {} for name in deployment.nodes}
    for instance in deployment.instances:
        unit = observed.unit(instance.leader.name)
        if unit is None or unit.state not in (UnitState.RUNNING, UnitState.STOPPING) or not unit.endpoint:
            continue
        host, _, port = unit.endpoint.rpartition(":")
        targets[instance.leader.node][instance.name] = (host.strip("[]"), int(port), "/metrics")
    return targets


def take_router(sight: RouterSight, deployment: Deployment, observed: Observed, now_s: float) -> None:
    """Put what was seen of the router's unit and of the members into `sight`."""
    node = deployment.router.node
    unit = observed.unit(ROUTER)
    trouble = observed.unreachable.get(node)
    if unit is not None:
        sight.vital = _VITALS[unit.state]
        sight.why = "" if unit.state is UnitState.RUNNING else unit.exit.cause if unit.exit else unit.state.value
    elif trouble is not None:
        sight.vital, sight.why = Vital.UNKNOWN, f"{node}: {trouble.cause}"
    else:
        sight.vital, sight.why = Vital.DOWN, NOT_RUNNING
    take_membership(sight, observed.membership, now_s)


def take_membership(sight: RouterSight, membership: MembershipSeen | None, now_s: float) -> None:
    """Put the registrar's word into `sight`; None leaves what was known, which grows old."""
    if membership is not None:
        sight.members = {name: member.registered for name, member in membership.members.items()}
        sight.members_s = now_s - membership.age_s


def _expected(instance: Instance, observed: Observed) -> Expected:
    unit = observed.unit(instance.leader.name)
    vital, why = _vital(instance, unit, observed)
    member: bool | None = None
    if observed.membership is not None:
        seen = observed.membership.members.get(instance.name)
        member = seen is not None and seen.registered
        if seen is not None and not seen.registered:
            why = why or f"withheld from the router: {seen.why}"
    hold = hold_on(instance, observed.holds.standing)
    held = whose(hold) if hold is not None else ""
    if vital is Vital.UP and member is False:
        vital = vital if held else Vital.STARTING
        why = why or held or "not registered"
    pool, role = _serves(instance, unit)
    return Expected(
        name=instance.name,
        node=instance.leader.node,
        slot=instance.leader.slot,
        pool=pool,
        role=role,
        generation=unit.labels.generation if unit is not None else 0,
        vital=vital,
        member=member,
        why=why,
        held=held,
    )


def _serves(instance: Instance, unit: UnitStatus | None) -> tuple[str, Role]:
    """Its pool and role: as it was started, which after a move is not what an inventory says that was read before."""
    if unit is None or not unit.labels.pool or unit.labels.role not in tuple(Role):
        return instance.pool, instance.role
    return unit.labels.pool, Role(unit.labels.role)


def _vital(instance: Instance, unit: UnitStatus | None, observed: Observed) -> tuple[Vital, str]:
    trouble = observed.unreachable.get(instance.leader.node)
    if trouble is not None:
        return Vital.UNKNOWN, f"{instance.leader.node}: {trouble.cause}"
    if unit is None:
        return Vital.DOWN, NOT_RUNNING
    vital = _VITALS[unit.state]
    if vital is Vital.DOWN:
        return vital, unit.exit.cause if unit.exit else unit.state.value
    return vital, ""
