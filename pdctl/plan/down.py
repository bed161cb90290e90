"""Plan `down`: fence, drain, stop, then the router and the registrar. `now` is for an emergency: nothing is drained."""

from __future__ import annotations

from dataclasses import replace

from pdctl.model.deployment import Deployment
from pdctl.model.observed import Observed
from pdctl.model.role import UnitKind
from pdctl.model.unit import UnitState
from pdctl.plan.chains import take_down
from pdctl.plan.held import kept_holds, slots_of
from pdctl.plan.steps import ELSEWHERE, REGISTRAR, ROUTER, Action, Blocked, Change, ChangeKind, Plan, Step, step_id


def plan_down(
    deployment: Deployment,
    observed: Observed,
    *,
    only: frozenset[str] | None = None,
    now: bool = False,
    fenceable: bool = True,
) -> Plan:
    """Stop every engine of the cluster (or `only` those instances), strays included, then router and registrar.

    Where the router never forgets a member (`fenceable` False) it goes first: nothing else keeps it from choosing an
    engine that is about to stop.
    Nothing that serves is stopped while the router's node is out of reach, since the router could still choose it.
    What is held is stopped like the rest, and stays held. Ended units count as changes only where they left something
    behind that a stop removes (their unit still exists).
    """
    changes: list[Change] = []
    steps: list[Step] = []
    blocked = _blocked(deployment, observed, only)
    router = observed.unreachable.get(deployment.router.node)
    leaders = {part.name: instance.name for instance in deployment.instances for part in instance.parts}
    taken: set[str] = set()
    for view in observed.nodes.values():
        for unit in view.units:
            name = leaders.get(unit.labels.instance, unit.labels.instance)
            wanted = only is None or name in only
            if unit.labels.kind is not UnitKind.ENGINE or not wanted or name in taken:
                continue
            taken.add(name)
            alive = unit.state in (UnitState.RUNNING, UnitState.UNKNOWN)
            if router is not None and alive and not now:
                blocked.append(Blocked(name, deployment.router.node, router))
                continue
            reason = "down now" if now else "down"
            changes.append(Change(ChangeKind.STOP, name, view.node, unit.state.value))
            steps += take_down(name, view.node, reason, drain=alive and not now)
    if only is None:
        _stop_routing(deployment, observed, changes, steps)
    if not fenceable:
        steps = _router_first(steps)
    slots = [slot for each in deployment.instances if only is None or each.name in only for slot in slots_of(each)]
    return Plan("down", tuple(changes), tuple(steps), tuple(blocked), kept_holds(observed, dict.fromkeys(slots)))


def _router_first(steps: list[Step]) -> list[Step]:
    """The same steps with the router's stop in front of every fence."""
    stop = step_id(Action.STOP_ROUTER, ROUTER)
    if all(step.id != stop for step in steps):
        return steps
    turned: list[Step] = []
    for step in steps:
        if step.id == stop:
            turned.insert(0, replace(step, after=()))
        else:
            turned.append(replace(step, needs=(*step.needs, stop)) if step.action is Action.FENCE else step)
    return turned


def _stop_routing(deployment: Deployment, observed: Observed, changes: list[Change], steps: list[Step]) -> None:
    node = deployment.router.node
    for at, other in observed.elsewhere:
        action = Action.STOP_ROUTER if other.labels.kind is UnitKind.ROUTER else Action.STOP_REGISTRAR
        subject = f"{other.labels.instance}{ELSEWHERE}{at}"
        changes.append(Change(ChangeKind.STOP, subject, at, other.state.value))
        steps.append(Step(action, subject, at, "down"))
    after = tuple(step.id for step in steps if step.action is Action.STOP)
    for name, action in ((ROUTER, Action.STOP_ROUTER), (REGISTRAR, Action.STOP_REGISTRAR)):
        unit = observed.unit(name)
        if unit is None:
            continue
        changes.append(Change(ChangeKind.STOP, name, node, unit.state.value))
        steps.append(Step(action, name, node, "down", after=after))
        after = (*after, step_id(action, name))


def _blocked(deployment: Deployment, observed: Observed, only: frozenset[str] | None) -> list[Blocked]:
    found: list[Blocked] = []
    for instance in deployment.instances:
        if only is not None and instance.name not in only:
            continue
        for part in instance.parts:
            trouble = observed.unreachable.get(part.node)
            if trouble is not None:
                found.append(Blocked(instance.name, part.node, trouble))
                break
    trouble = observed.unreachable.get(deployment.router.node)
    if trouble is not None and only is None:
        found.append(Blocked(ROUTER, deployment.router.node, trouble))
    return found
