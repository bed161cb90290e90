"""Replacing what serves: in waves, above the floor, what adds capacity first."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from pdctl.model.deployment import Deployment
from pdctl.model.unit import UnitState
from pdctl.plan.floors import PoolDip, below_floor, pool_dips
from pdctl.plan.steps import Action, Plan, step_id
from pdctl.plan.up import plan_up
from pdctl.plan.waves import bound_sets
from tests.unit.deployments import gpt_oss_8p4d, r1_2p3d, standard_2xtp4
from tests.unit.observations import Scene, ancestors, assert_executable, names, stray, wanted

R1 = r1_2p3d()
P1, P2, D1, D2, D3 = names(R1.instances)


def with_floor(deployment: Deployment, pool: str, floor: int) -> Deployment:
    pools = {**deployment.pools, pool: replace(deployment.pools[pool], min_instances=floor)}
    return replace(deployment, pools=pools)


def outdated(deployment: Deployment, *names_: str) -> Scene:
    scene = Scene.converged(deployment)
    for name in names_:
        scene.label(name, spec_hash="old")
    return scene


def plan(scene: Scene, at_once: int = 1) -> Plan:
    found = plan_up(scene.deployment, wanted(scene.deployment), scene.seen(), at_once=at_once)
    assert_executable(found)
    return found


def dip(scene: Scene, found: Plan, pool: str) -> PoolDip:
    return next(each for each in pool_dips(scene.deployment, scene.seen(), found) if each.pool == pool)


def waits(found: Plan, later: str, earlier: str) -> bool:
    """Whether `later` is fenced only when `earlier` is registered again."""
    return step_id(Action.REGISTER, earlier) in ancestors(found, step_id(Action.FENCE, later))


@pytest.mark.parametrize(("at_once", "least"), [(1, 2), (2, 1), (3, 1), (9, 1)])
def test_a_wave_is_no_larger_than_asked_for_and_than_the_floor_allows(at_once: int, least: int) -> None:
    scene = outdated(R1, D1, D2, D3)
    found = plan(scene, at_once)
    assert dip(scene, found, "decode") == PoolDip("decode", 3, least, 3, 1)
    assert below_floor(pool_dips(R1, scene.seen(), found)) == ()


def test_a_wave_begins_when_all_of_the_one_before_are_registered() -> None:
    found = plan(outdated(R1, D1, D2, D3), at_once=2)
    assert not waits(found, D2, D1)
    assert waits(found, D3, D1) and waits(found, D3, D2)


def test_what_was_down_is_started_before_anything_that_serves_is_taken_out() -> None:
    scene = outdated(R1, D2, D3)
    scene.gone(D1)
    found = plan(scene)
    assert waits(found, D2, D1) and waits(found, D3, D1)
    assert dip(scene, found, "decode") == PoolDip("decode", 2, 2, 3, 1)


def test_a_replacement_needs_the_start_that_keeps_its_pool_above_the_floor() -> None:
    deployment = with_floor(R1, "decode", 2)
    scene = outdated(deployment, D2, D3)
    scene.gone(D1)
    found = plan(scene)
    (fence,) = [step for step in found.steps if step.id == step_id(Action.FENCE, D2)]
    assert step_id(Action.REGISTER, D1) in fence.needs
    assert dip(scene, found, "decode").least == 2


def test_a_start_that_may_fail_within_the_budget_keeps_nobody_from_being_replaced() -> None:
    deployment = gpt_oss_8p4d()
    first, second, *_ = (each.name for each in deployment.instances if each.pool == "prefill")
    scene = outdated(deployment, second)
    scene.gone(first)
    (fence,) = [step for step in plan(scene).steps if step.id == step_id(Action.FENCE, second)]
    assert (fence.needs, fence.after) == ((), (step_id(Action.REGISTER, first),))


def test_with_no_way_above_the_floor_the_dip_says_so() -> None:
    deployment = with_floor(R1, "prefill", 2)
    scene = outdated(deployment, P1)
    found = plan(scene)
    assert below_floor(pool_dips(deployment, scene.seen(), found)) == (
        "pool prefill would have 1 of at least 2 for a while",
    )


def test_a_slot_that_changes_its_pool_is_lost_to_the_one_that_it_serves_in() -> None:
    scene = outdated(R1, P1)
    scene.label(D1, pool="prefill", spec_hash="old")
    found = plan(scene)
    assert waits(found, D1, P1)
    assert dip(scene, found, "prefill") == PoolDip("prefill", 3, 2, 2, 1)
    assert dip(scene, found, "decode") == PoolDip("decode", 2, 2, 3, 1)


def test_what_leaves_for_good_goes_last() -> None:
    scene = outdated(R1, D1)
    scene.gone(D2)
    scene.units["mi300x-05"]["x.all.0"] = replace(
        stray(R1, "x.all.0"), labels=replace(stray(R1, "x.all.0").labels, pool="decode")
    )
    found = plan(scene)
    assert waits(found, "x.all.0", D1) and waits(found, "x.all.0", D2)


def test_an_engine_that_loads_counts_as_soon_as_it_is_registered() -> None:
    scene = outdated(R1, D2)
    scene.state(D1, UnitState.STOPPING)
    found = plan(scene)
    assert waits(found, D2, D1)


def test_those_who_swap_gpus_are_one_of_a_wave() -> None:
    deployment = standard_2xtp4()
    first, second = deployment.instances
    scene = Scene.converged(deployment)
    scene.label(first.name, spec_hash="old", gpus=second.leader.gpus)
    scene.label(second.name, spec_hash="old", gpus=first.leader.gpus)
    found = plan(scene)
    for one, other in itertools.permutations((first.name, second.name)):
        assert not waits(found, one, other)
    assert below_floor(pool_dips(deployment, scene.seen(), found))


def test_bound_sets_join_what_is_linked() -> None:
    holders = {"a": ["b"], "c": ["d"], "b": ["c"], "e": [], "f": ["g"]}
    assert set(bound_sets(holders)) == {frozenset("abcd"), frozenset("fg")}
