"""Plan `move`: per slot fence, drain, write the inventory, stop, start in the new role, prove, register.

Slots of one pool go in turns of `at_once` instances, each turn once the one before it serves in its new pool; slots of
different pools, and spares, do not wait for each other. What is not moved is not touched, whatever else differs from
the inventory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pdctl.errors import PlanRefused, Unreachable
from pdctl.model.deployment import Deployment, Instance
from pdctl.model.observed import Observed, Trouble
from pdctl.model.role import Role, UnitKind
from pdctl.model.unit import UnitState
from pdctl.plan.chains import bring_up
from pdctl.plan.floors import below_floor, most_out, pool_dips, serving_pools
from pdctl.plan.held import whose
from pdctl.plan.shift import Shift
from pdctl.plan.steps import REGISTRAR, ROUTER, Action, Change, ChangeKind, Plan, Step, step_id

_LIVES = (UnitState.RUNNING, UnitState.STOPPING, UnitState.UNKNOWN)
_UP_FIRST = "`pdctl up` first; then move it"


def plan_move(
    after: Deployment,
    shifts: Sequence[Shift],
    observed: Observed,
    *,
    at_once: int = 1,
    force: bool = False,
    refused: Mapping[str, Trouble] | None = None,
) -> Plan:
    """The steps that bring `shifts` about; `after` is the deployment that they lead to. None of either: nothing to do.

    `force` goes below a pool's floor for a while. `refused`: instances that must not be launched, with why.
    Where no engine of the cluster lives, only the inventory is written.
    Raises Unreachable where a node of the move or the router's cannot be asked, PlanRefused where a hold, a floor, the
    last instance of a role or what runs there is in the way.
    """
    if not shifts:
        return Plan("move", (), ())
    for shift in shifts:
        _refuse_shift(after, shift, observed, refused or {})
    if not _anything_lives(observed):
        steps = tuple(Step(Action.COMMIT, shift.name, shift.node, shift.words) for shift in shifts)
        told = ("the cluster is down: only the inventory is changed, `pdctl up` starts what it says",)
        return Plan("move", _changes(shifts), steps, warnings=told)
    _refuse_without_routing(after, shifts, observed)
    plan = _laid(after, shifts, observed, at_once)
    if _roles_left_empty(after, observed, plan) and len({shift.origin for shift in shifts}) > 1:
        plan = _laid(after, shifts, observed, at_once, in_one_row=True)
    empty = _roles_left_empty(after, observed, plan)
    if empty:
        raise PlanRefused(
            f"no {empty[0].value} instance would be left to serve, and without one nothing is served",
            hint=f"bring another {empty[0].value} instance into service first",
        )
    short = below_floor(pool_dips(after, observed, plan))
    if short and not force:
        raise PlanRefused("; ".join(short), hint="move fewer, add some first, or go below it with `--force`")
    return replace(plan, warnings=short)


def _changes(shifts: Iterable[Shift]) -> tuple[Change, ...]:
    return tuple(Change(ChangeKind.MOVE, shift.name, shift.node, shift.words) for shift in shifts)


def _laid(
    after: Deployment, shifts: Sequence[Shift], observed: Observed, at_once: int, *, in_one_row: bool = False
) -> Plan:
    """All shifts, in turns. `in_one_row`: as if they all left one pool."""
    serving = serving_pools(after, observed)
    rows: dict[str, _Row] = {}
    steps: list[Step] = []
    for shift in shifts:
        losing = sum(1 for each in shift.leaving if each.name in serving)
        if not losing:
            steps += _one(shift, observed, ())
            continue
        row = rows.setdefault("" if in_one_row else shift.origin or "", _Row(at_once))
        waits = row.take(losing)
        found = _one(shift, observed, waits)
        row.ends += _ends(found)
        steps += found
    return Plan("move", _changes(shifts), tuple(steps))


@dataclass(slots=True)
class _Row:
    """The turns of one pool while they are laid. A slot with more instances than `at_once` makes a turn of its own."""

    at_once: int
    out: int = 0
    waits: tuple[str, ...] = ()
    ends: list[str] = field(default_factory=list)

    def take(self, losing: int) -> tuple[str, ...]:
        """What has to come first for a slot that takes `losing` instances out."""
        if self.out and self.out + losing > self.at_once:
            self.waits, self.ends, self.out = tuple(self.ends), [], 0
        self.out += losing
        return self.waits


def _ends(steps: Sequence[Step]) -> list[str]:
    """The steps after which a slot is what it should be."""
    registers = [step.id for step in steps if step.action is Action.REGISTER]
    return registers or [step.id for step in steps if step.action in (Action.COMMIT, Action.STOP)]


def _one(shift: Shift, observed: Observed, waits: tuple[str, ...]) -> list[Step]:
    """fence -> drain -> write the inventory -> stop -> start -> ready -> canary -> register."""
    steps: list[Step] = []
    for instance in shift.leaving:
        steps += _take_out(instance, shift, observed, waits)
    out = {step.subject: step.id for step in steps}  # the last one of each instance
    reason = "" if steps else shift.words
    steps.append(Step(Action.COMMIT, shift.name, shift.node, reason, needs=tuple(out.values()) or waits))
    stops = [
        Step(Action.STOP, instance.name, instance.leader.node, "", needs=(shift.commit,))
        for instance in shift.leaving
        if any(observed.unit(part.name) is not None for part in instance.parts)
    ]
    steps += stops
    freed = (shift.commit, *(step.id for step in stops))
    for instance in shift.coming:
        steps += bring_up(instance, shift.words, start=True, registrar_starts=False, needs=freed)
    return steps


def _take_out(instance: Instance, shift: Shift, observed: Observed, waits: tuple[str, ...]) -> list[Step]:
    name, node = instance.name, instance.leader.node
    unit = observed.unit(name)
    lives = unit is not None and unit.state in _LIVES
    seen = observed.membership
    if not lives and (seen is None or (name not in seen.members and name not in (seen.listed or {}))):
        return []
    steps = [Step(Action.FENCE, name, node, shift.words, needs=waits)]
    if lives:
        steps.append(Step(Action.DRAIN, name, node, "", needs=(steps[0].id,)))
    return steps


def _refuse_shift(after: Deployment, shift: Shift, observed: Observed, refused: Mapping[str, Trouble]) -> None:
    held = next((hold for slot in shift.slots if (hold := observed.holds.standing.get(slot.id))), None)
    if held is not None:
        raise PlanRefused(
            f"{held.slot} is {whose(held)}", hint="`pdctl undrain` takes the hold away; agree with who set it"
        )
    for slot in shift.slots:
        trouble = observed.unreachable.get(slot.node)
        if trouble is not None:
            raise Unreachable(slot.node, f"so {slot.id} cannot be moved: {trouble.cause}", hint=trouble.hint)
    for instance in shift.coming:
        if instance.name in refused:
            raise PlanRefused(f"{instance.name} may not start: {refused[instance.name].cause}", hint=_hint(refused))
    _refuse_units(shift, observed)


def _hint(refused: Mapping[str, Trouble]) -> str:
    return next((trouble.hint for trouble in refused.values() if trouble.hint), "")


def _refuse_units(shift: Shift, observed: Observed) -> None:
    """What lives on its GPUs must be what the inventory has there: nothing else is stopped by a move."""
    own = {part.name for instance in shift.leaving for part in instance.parts}
    for slot in shift.slots:
        for unit in observed.nodes[slot.node].units:
            labels = unit.labels
            if labels.kind is not UnitKind.ENGINE or unit.state not in _LIVES:
                continue
            if labels.instance not in own:
                if set(labels.gpus) & set(slot.gpus):
                    raise PlanRefused(f"{labels.instance} holds GPUs of {slot.id}, and is not in it", hint=_UP_FIRST)
            elif unit.state is UnitState.UNKNOWN:
                raise PlanRefused(f"the state of {labels.instance} could not be read", hint="`pdctl status` says why")
            elif unit.state is UnitState.STOPPING:
                raise PlanRefused(f"{labels.instance} is still stopping", hint="wait for it, then move it")


def _anything_lives(observed: Observed) -> bool:
    alive = (unit for unit in observed.units.values() if unit.state in _LIVES)
    return bool(observed.unreachable) or any(True for _ in alive)


def _refuse_without_routing(after: Deployment, shifts: Sequence[Shift], observed: Observed) -> None:
    node = after.router.node
    trouble = observed.unreachable.get(node)
    if trouble is not None:
        raise Unreachable(node, f"so nothing can be taken from the router: {trouble.cause}", hint=trouble.hint)
    if all(not shift.coming for shift in shifts):
        return
    for name in (ROUTER, REGISTRAR):
        unit = observed.unit(name)
        if unit is None or unit.state is not UnitState.RUNNING:
            raise PlanRefused(f"the {name} does not run, so nothing could be registered", hint=_UP_FIRST)


def _roles_left_empty(after: Deployment, observed: Observed, plan: Plan) -> tuple[Role, ...]:
    """Roles that serve now, or are needed for a canary, and would have nobody at some moment."""
    serving = serving_pools(after, observed)
    roles = {name: unit.labels.role for name in serving if (unit := observed.unit(name)) is not None}
    fences = {step.subject for step in plan.steps if step.action is Action.FENCE}
    joins = {step.subject for step in plan.steps if step.action is Action.REGISTER}
    wanted = {instance.name: instance.role for instance in after.instances}
    partners = {wanted[name].opposite for name in joins}
    found = []
    for role in Role:
        leaving = {name for name in fences if roles.get(name) == role.value}
        if not leaving and role not in partners:
            continue
        joining = {name for name in joins if wanted[name] is role}
        before = sum(1 for each in roles.values() if each == role.value)
        if before - most_out(plan, leaving, joining) < 1:
            found.append(role)
    return tuple(found)


def point_of_no_return(shifts: Iterable[Shift]) -> frozenset[str]:
    """Steps after which a slot goes on to its new pool; a cancelled move takes back what has not come to them."""
    return frozenset(step_id(Action.COMMIT, shift.name) for shift in shifts)
