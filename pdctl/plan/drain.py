"""Plan `drain`: hold, fence, wait until drained, and stop if that was asked for. And what a cancelled one takes back.

The hold comes first, so that no `up` that runs after a crash puts back what was fenced.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pdctl.errors import PlanRefused, Unreachable
from pdctl.model.deployment import Deployment, Instance
from pdctl.model.hold import Hold, HoldKind
from pdctl.model.observed import Observed
from pdctl.model.role import Role
from pdctl.model.unit import UnitState
from pdctl.plan.floors import below_floor, pool_dips, serving_pools
from pdctl.plan.held import slots_of, whose
from pdctl.plan.steps import ROUTER, Action, Blocked, Change, ChangeKind, Plan, Step, step_id

_LIVES = (UnitState.RUNNING, UnitState.STOPPING, UnitState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a drain was asked to do: whole slots by id, with the instances that lie in them, and the hold for each.

    `overrides` also goes below a pool's floor, and takes the place of other operators' holds.
    """

    slots: tuple[str, ...]
    instances: tuple[Instance, ...]
    hold: Hold  # its slot is filled in
    stop: bool = False
    overrides: bool = False

    def hold_of(self, slot: str) -> Hold:
        """The hold that is to lie on `slot`."""
        return replace(self.hold, slot=slot)


def plan_drain(deployment: Deployment, observed: Observed, asked: Asked) -> Plan:
    """The steps that take the slots out of service. What is out of service already is only looked at again.

    Raises PlanRefused where a hold of somebody else, a pool's floor or the last instance of a role is in the way,
    Unreachable where the router's node cannot be asked.
    """
    _refuse_holds(observed, asked)
    draft = _Draft(deployment, observed, asked)
    for slot in asked.slots:
        draft.slot(slot)
    for instance in asked.instances:
        draft.instance(instance)
    warnings = _lives_there(deployment, asked)
    plan = Plan("drain", tuple(draft.changes), tuple(draft.steps), tuple(draft.blocked), warnings=warnings)
    _refuse_last(deployment, observed, plan)
    short = below_floor(pool_dips(deployment, observed, plan))
    if short and not asked.overrides:
        raise PlanRefused("; ".join(short), hint="drain fewer, add some first, or go below it with `--force`")
    return replace(plan, warnings=(*warnings, *short))


@dataclass(slots=True)
class _Draft:
    deployment: Deployment
    observed: Observed
    asked: Asked
    changes: list[Change] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    blocked: list[Blocked] = field(default_factory=list)

    def slot(self, slot: str) -> None:
        """Hold it, unless it is held like that already."""
        hold, before = self.asked.hold_of(slot), self.observed.holds.standing.get(slot)
        if before is not None and _says_the_same(hold, before):
            return
        reason = whose(hold)
        self.changes.append(Change(ChangeKind.HOLD, slot, self.deployment.lease_node, reason))
        self.steps.append(Step(Action.HOLD, slot, self.deployment.lease_node, reason))

    def instance(self, instance: Instance) -> None:
        """Fence it if the router may know it, and see it drained if it runs."""
        name, node = instance.name, instance.leader.node
        away = next((part.node for part in instance.parts if part.node in self.observed.unreachable), None)
        unit = self.observed.unit(name)
        lives = unit is not None and unit.state in _LIVES
        own = slots_of(instance)
        needs = tuple(step.id for step in self.steps if step.action is Action.HOLD and step.subject in own)
        if lives or away is not None or _is_known(name, self.observed):
            self._router_answers()
            fence = Step(Action.FENCE, name, node, "drain", needs=needs)
            self.steps.append(fence)
            needs = (fence.id,)
        if away is not None:
            self.blocked.append(Blocked(name, away, self.observed.unreachable[away]))
            return
        if not lives:
            if unit is not None and self.asked.stop:
                self.changes.append(Change(ChangeKind.STOP, name, node, unit.state.value))
                self.steps.append(Step(Action.STOP, name, node, "", needs=needs))
            return
        self.steps.append(Step(Action.DRAIN, name, node, "", needs=needs))
        if _is_known(name, self.observed):
            self.changes.append(Change(ChangeKind.DRAIN, name, node, "leaves the router, and ends what it has in hand"))
        if self.asked.stop:
            self.changes.append(Change(ChangeKind.STOP, name, node, "once it is drained"))
            self.steps.append(Step(Action.STOP, name, node, "", needs=(step_id(Action.DRAIN, name),)))

    def _router_answers(self) -> None:
        node = self.deployment.router.node
        trouble = self.observed.unreachable.get(node)
        if trouble is not None:
            raise Unreachable(node, f"so nothing can be taken from the router: {trouble.cause}", hint=trouble.hint)


def take_back(plan: Plan, done: Iterable[str], slots: Mapping[str, tuple[str, ...]], lease_node: str) -> Plan:
    """The steps that undo a drain that was cut short: whatever was not drained is a member again, and not held.

    `done`: ids of the plan's steps that ended well; `slots`: those of each instance. What is drained stays so.
    """
    ended = set(done)
    waits = (Action.HOLD, Action.FENCE, Action.DRAIN)
    undone = {step.subject for step in plan.steps if step.action in waits and step.id not in ended}
    fenced = [step for step in plan.steps if step.action is Action.FENCE]
    holds = [step.subject for step in plan.steps if step.action is Action.HOLD]
    half = {slot for name, of in slots.items() if undone & {name, *of} for slot in of} | undone.intersection(holds)
    back: list[Step] = [
        Step(Action.RELEASE, slot, lease_node, "the drain was cancelled") for slot in holds if slot in half
    ]
    released = {step.subject: step.id for step in back}
    for step in fenced:
        of = slots.get(step.subject, ())
        if half.intersection(of):
            needs = tuple(released[slot] for slot in of if slot in released)
            back.append(Step(Action.UNFENCE, step.subject, step.node, "the drain was cancelled", needs=needs))
    return Plan("drain", (), tuple(back))


def _refuse_holds(observed: Observed, asked: Asked) -> None:
    standing = observed.holds.standing
    others = [standing[slot] for slot in asked.slots if slot in standing and standing[slot].by != asked.hold.by]
    if others and not asked.overrides:
        first = others[0]
        more = f" (and {len(others) - 1} more)" if len(others) > 1 else ""
        raise PlanRefused(
            f"{first.slot} is {whose(first)}{more}",
            hint="agree with them; `pdctl undrain` takes their hold away, `--force` puts yours in its place",
        )


def _refuse_last(deployment: Deployment, observed: Observed, plan: Plan) -> None:
    """Refuse to leave the router without any instance of a role: nothing could be served then."""
    leaving = {step.subject for step in plan.steps if step.action is Action.FENCE}
    serving = serving_pools(deployment, observed)
    for instance in deployment.instances:
        if instance.name in leaving and instance.leader.node in observed.unreachable and observed.membership is None:
            serving[instance.name] = instance.pool  # nobody can say that it does not
    roles = {name: pool.role for name, pool in deployment.pools.items()}
    for role in Role:
        names = {name for name, pool in serving.items() if roles.get(pool) is role}
        if names & leaving and not names - leaving:
            raise PlanRefused(
                f"no {role.value} instance would be left, so nothing could be served",
                hint="bring another one up first; to end service altogether, `pdctl down`",
            )


def _lives_there(deployment: Deployment, asked: Asked) -> tuple[str, ...]:
    """What else the operator should know who takes a whole node out for maintenance."""
    nodes = dict.fromkeys(slot.partition(".")[0] for slot in asked.slots)
    warnings = []
    if deployment.router.node in nodes:
        warnings.append(
            f"the router lives on {deployment.router.node}, and serves on: before that node goes down, move it with "
            "`pdctl router move NODE`"
        )
    if deployment.lease_node in nodes:
        warnings.append(
            f"{deployment.lease_node} is the lease node: while it is away nothing can be changed (what serves, serves "
            "on); for longer, give the inventory another `lease_node`"
        )
    return tuple(warnings)


def _says_the_same(hold: Hold, before: Hold) -> bool:
    """Whether a new hold would add nothing to the one that stands."""
    if before.kind is not HoldKind.DRAINED or before.by != hold.by:
        return False
    return hold.reason in ("", before.reason) and hold.until_s in (None, before.until_s)


def _is_known(name: str, observed: Observed) -> bool:
    """Whether the router may know it, as far as the registrar or its list tells."""
    unit = observed.unit(ROUTER)
    if unit is None or unit.state not in _LIVES or observed.membership is None:
        return False
    return name in observed.membership.members or name in (observed.membership.listed or {})


def not_whole(instances: Sequence[Instance], slots: Sequence[str]) -> tuple[str, ...]:
    """Names of the instances that do not lie wholly in `slots`: a part of a slot can be neither held nor moved."""
    known = set(slots)
    return tuple(instance.name for instance in instances if not known.issuperset(slots_of(instance)))
