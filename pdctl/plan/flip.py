"""The order of a change of the KV transfer mode. A router process keeps the first mode that it hears for its life, and
engines of two modes cannot serve each other: there is one moment at which all changes.

Half of the engines are launched in the new mode first, and proven with each other, while the other half serves on. Then
that half leaves, and ends what it has in hand; a new router process takes the new half; and the other follows. What is
in flight is never lost. From the moment that the old half leaves until the new router serves, new requests are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from pdctl.errors import PlanRefused
from pdctl.model.observed import Observed
from pdctl.model.unit import UnitState
from pdctl.plan.steps import REGISTRAR, ROUTER, Action, Plan, Step, step_id
from pdctl.plan.waves import PoolCapacity, Turnover

STOP, START = step_id(Action.STOP_ROUTER, ROUTER), step_id(Action.START_ROUTER, ROUTER)


def refuse_half_a_flip(observed: Observed, plan: Plan, *, whole: bool) -> None:
    """Raises PlanRefused where a new router would hear of members in both modes: the plan is not for the `whole` of
    the cluster, or a member cannot be changed now. Of a cluster that is down nobody is a member."""
    if all(step.id != START for step in plan.steps):
        return
    registrar = observed.unit(REGISTRAR)
    members = observed.membership.members if observed.membership is not None else None
    if members is None and registrar is not None and registrar.state is UnitState.RUNNING:
        raise PlanRefused(
            f"who is a member in the old transfer mode is not known: {observed.membership_trouble}",
            hint="`pdctl status` tells more; try again when the registrar answers",
        )
    if members and not whole:
        raise PlanRefused("the KV transfer mode changes for all or for none", hint="leave the selectors out")
    for blocked in plan.blocked:
        if blocked.subject in (members or {}):
            raise PlanRefused(
                f"the KV transfer mode changes for all or for none, and {blocked.subject} cannot be changed: "
                f"{blocked.trouble.cause}",
                hint="mend that first, or take it out of the inventory",
            )


def in_halves(
    steps: Sequence[Step], turnover: Turnover, pools: Mapping[str, PoolCapacity], sides: Mapping[str, str]
) -> list[Step]:
    """The same steps in that order. `sides`: the role of every instance, by name. `START` is among the steps."""
    first = _first_half(turnover, pools, sides)
    second = [name for name in (*turnover.losing, *turnover.leaving) if name not in first]
    known = {step.id for step in steps}
    proven = [name for name in (*first, *turnover.gaining) if step_id(Action.PROVE, name) in known]
    return [_ordered(step, known, proven, second, sides) for step in steps]


def _first_half(turnover: Turnover, pools: Mapping[str, PoolCapacity], sides: Mapping[str, str]) -> frozenset[str]:
    """Who goes ahead: up to half of each pool, above its floor; nobody, if one side would have nobody to be proven
    with."""
    chosen: list[str] = []
    for pool, capacity in pools.items():
        names = [name for name, leaves in turnover.losing.items() if leaves == pool]
        spare = capacity.serving - max(capacity.floor, 1)
        chosen += names[: max(0, min(len(names) // 2, spare))]
    wanted = {sides[name] for name in turnover.losing}
    ahead = {sides[name] for name in (*chosen, *turnover.gaining)}
    return frozenset(chosen) if wanted <= ahead else frozenset()


def _ordered(
    step: Step, known: set[str], proven: Iterable[str], second: Sequence[str], sides: Mapping[str, str]
) -> Step:
    more: list[str] = []
    if step.action is Action.FENCE and step.subject in second:
        # Its own side's first: where that fails, this one serves on, and may be the partner that others wait for.
        own = sides.get(step.subject, "")
        more = [step_id(Action.PROVE, name) for name in sorted(proven, key=lambda name: sides.get(name, "") != own)]
    elif step.id == STOP:
        more = [step_id(Action.DRAIN, name) for name in second]
    elif step.id == START:  # nobody of the old mode is on the list when it begins to listen
        more = sorted(name for name in known if name.startswith(step_id(Action.FENCE, "")))
    elif step.action is Action.REGISTER:
        more = [START]
    return replace(step, needs=(*step.needs, *(name for name in more if name in known and name not in step.needs)))
