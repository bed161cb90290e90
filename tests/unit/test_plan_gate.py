"""The gate and the repairs, as pure decisions: who may start, what a pool keeps, what `check --fix` may touch."""

from __future__ import annotations

import pytest

from pdctl.model.observed import Trouble
from pdctl.plan.fix import plan_fix
from pdctl.plan.gate import launched, refused, short_of_floor
from pdctl.plan.steps import Action
from pdctl.plan.up import plan_up
from tests.unit.deployments import r1_2p3d
from tests.unit.observations import NO_ROUTE, Scene, stray, wanted

R1 = r1_2p3d()
FIRST, *_, LAST = R1.instances
UNFIT = Trouble("gpu.count: 7 GPUs, expected 8")


def slot_of(name: str) -> str:
    part = R1.instance(name).leader
    return f"{part.node}.{part.slot}"


def test_only_what_starts_is_checked_before() -> None:
    scene = Scene.converged(R1)
    scene.units[LAST.leader.node].clear()
    assert launched(plan_up(R1, wanted(R1), scene.seen())) == (LAST.name,)


def test_an_instance_with_an_unfit_slot_is_refused_with_its_reason() -> None:
    assert refused(R1, [FIRST.name, LAST.name], {slot_of(LAST.name): UNFIT}) == {LAST.name: UNFIT}


def test_a_refused_instance_is_left_out_and_the_rest_goes_on() -> None:
    plan = plan_up(R1, wanted(R1), Scene.nothing(R1).seen(), refused={LAST.name: UNFIT})
    assert LAST.name not in launched(plan)
    assert set(launched(plan)) == {each.name for each in R1.instances} - {LAST.name}
    assert [(item.subject, item.trouble) for item in plan.blocked] == [(LAST.name, UNFIT)]


def test_what_serves_goes_on_serving_although_its_node_became_unfit() -> None:
    plan = plan_up(R1, wanted(R1), Scene.converged(R1).seen(), refused={LAST.name: UNFIT})
    assert plan.converged


@pytest.mark.parametrize("lost", [0, 1])
def test_a_pool_may_lose_instances_down_to_its_floor(lost: int) -> None:
    members = [each.name for each in R1.instances if each.pool == LAST.pool]
    spare = len(members) - R1.pools[LAST.pool].min_instances
    assert short_of_floor(R1, members[:spare]) == ()
    assert (short_of_floor(R1, members[: spare + lost]) != ()) == bool(lost)


def test_a_living_engine_that_nobody_asked_for_is_stale() -> None:
    scene = Scene.converged(R1)
    node = LAST.leader.node
    scene.units[node]["old.all.0"] = stray(R1, "old.all.0", (0,))
    plan = plan_fix(R1, scene.seen(), ())
    assert [(step.action, step.subject, step.node) for step in plan.steps] == [(Action.STOP, "old.all.0", node)]


def test_a_stray_that_still_serves_is_not_ours_to_repair() -> None:
    scene = Scene.converged(R1)
    scene.units[LAST.leader.node]["old.all.0"] = stray(R1, "old.all.0", (0,))
    scene.members = None
    assert plan_fix(R1, scene.seen(), ()).converged


def test_numa_balancing_is_stopped_where_it_is_on_and_the_node_can_be_asked() -> None:
    scene = Scene.converged(R1)
    del scene.units[LAST.leader.node]
    scene.unreachable[LAST.leader.node] = NO_ROUTE
    plan = plan_fix(R1, scene.seen(), (FIRST.leader.node, LAST.leader.node))
    assert [(step.action, step.node) for step in plan.steps] == [(Action.STOP_NUMA_BALANCING, FIRST.leader.node)]


def test_what_is_held_does_not_make_up_for_what_is_unfit() -> None:
    members = [each.name for each in R1.instances if each.pool == LAST.pool]
    spare = len(members) - R1.pools[LAST.pool].min_instances
    assert short_of_floor(R1, members[:1], members[1 : 1 + spare]) != ()
    assert short_of_floor(R1, (), members) == (), "what is held was held on purpose"
