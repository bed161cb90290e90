"""Moves of random clusters, carried out in any order that the plan allows: floors and roles hold at every moment."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pdctl.errors import PlanRefused
from pdctl.model.deployment import Deployment, Parallel
from pdctl.model.role import Role
from pdctl.model.unit import UnitState
from pdctl.plan.floors import serving_pools
from pdctl.plan.move import plan_move
from pdctl.plan.shift import Shift, shifts_between
from pdctl.plan.steps import Action, Plan, Step
from tests.unit.deployments import cluster, node, place, pool, slot
from tests.unit.observations import Scene, assert_executable

POOLS = {"prefill": (Role.PREFILL, 4), "long": (Role.PREFILL, 2), "decode": (Role.DECODE, 2), "wide": (Role.DECODE, 4)}


@st.composite
def moves(draw: st.DrawFn) -> tuple[Scene, Deployment, int]:
    """A cluster of boxes with two slots, some engines dead; where slots go; how many at once."""
    count = draw(st.integers(2, 5))
    pools = [
        replace(pool(name, role, Parallel(tp=tp)), min_instances=draw(st.integers(0, 2)))
        for name, (role, tp) in POOLS.items()
    ]
    names = st.sampled_from([*POOLS, None])
    slots = [
        slot(f"n{number}", gpus, draw(names), name)
        for number in range(1, count + 1)
        for name, gpus in (("a", range(4)), ("b", range(4, 8)))
    ]
    before = cluster("boxes", [node(f"n{number}", number) for number in range(1, count + 1)], pools, slots)
    scene = Scene.converged(before)
    assert scene.members is not None
    for instance in before.instances:
        if draw(st.integers(0, 7)) == 0:
            scene.state(instance.name, UnitState.FAILED)
            del scene.members[instance.name]
    target = draw(names)
    going = draw(st.sets(st.sampled_from([each.id for each in slots]), min_size=1))
    moved = tuple(replace(each, pool=target) if each.id in going else each for each in before.slots)
    return scene, replace(before, slots=moved, instances=place(moved, before.pools)), draw(st.integers(1, 4))


def schedule(plan: Plan, dice: random.Random) -> list[Step]:
    """One order in which the steps may end."""
    left, ended, order = list(plan.steps), set[str](), list[Step]()
    while left:
        ready = [step for step in left if ended.issuperset((*step.needs, *step.after))]
        step = dice.choice(ready)
        left.remove(step)
        ended.add(step.id)
        order.append(step)
    return order


def _out(
    shifts: Sequence[Shift], initial: Mapping[str, str], serving: Mapping[str, str], stopped: set[str], at_once: int
) -> Iterator[tuple[int, int]]:
    """By pool: how many instances are out of service now, and how many may be (a slot goes whole)."""
    for origin in {shift.origin for shift in shifts}:
        mine = [shift for shift in shifts if shift.origin == origin]
        sizes = [sum(1 for each in shift.leaving if each.name in initial) for shift in mine]
        out = 0
        for shift, size in zip(mine, sizes, strict=True):
            begun = any(each.name in initial and (each.name not in serving) for each in shift.leaving)
            begun = begun or any(each.name in stopped for each in shift.leaving)
            over = all(each.name in serving for each in shift.coming)
            over = over and (bool(shift.coming) or all(each.name in stopped for each in shift.leaving))
            out += size if begun and not over else 0
        yield out, max(at_once, *sizes, 0)


@given(moves(), st.randoms(use_true_random=False), st.booleans())
def test_floors_and_roles_hold_whatever_takes_how_long(
    drawn: tuple[Scene, Deployment, int], dice: random.Random, force: bool
) -> None:
    scene, after, at_once = drawn
    seen = scene.seen()
    shifts = shifts_between(scene.deployment, after)
    try:
        plan = plan_move(after, shifts, seen, at_once=at_once, force=force)
    except PlanRefused:
        return
    assert_executable(plan)
    serving = serving_pools(scene.deployment, seen)
    pools = {each.name: each.pool for each in after.instances}
    initial, at_first = dict(serving), Counter(serving.values())
    roles = {after.pools[name].role for name in serving.values()}
    written: set[str] = set()
    stopped: set[str] = set()
    for step in schedule(plan, dice):
        match step.action:
            case Action.FENCE:
                serving.pop(step.subject, None)
            case Action.COMMIT:
                written.add(step.subject)
            case Action.STOP:
                assert step.subject not in serving, "only what is fenced is stopped"
                assert step.subject.rpartition(".")[0] in written, "the inventory comes first"
                stopped.add(step.subject)
            case Action.REGISTER:
                serving[step.subject] = pools[step.subject]
            case _:
                pass
        now = Counter(serving.values())
        for name, spec in after.pools.items():
            assert force or now[name] >= min(spec.min_instances, at_first[name]), f"{name} is below its floor"
        left = {after.pools[name].role for name in serving.values()}
        assert left >= roles, "a role that served has nobody left"
        assert all(out <= most for out, most in _out(shifts, initial, serving, stopped, at_once))
    came = {each.name for shift in shifts for each in shift.coming}
    assert serving == {
        name: pools[name] for name in {*initial, *came} if name in pools and (name in came or name in initial)
    }
