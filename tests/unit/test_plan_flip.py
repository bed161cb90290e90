"""A change of the KV transfer mode: one half ahead, a new router, the other half after it; no two modes together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pdctl.errors import PlanRefused
from pdctl.model.deployment import Deployment
from pdctl.model.unit import ExitEvidence, UnitState
from pdctl.plan.flip import refuse_half_a_flip
from pdctl.plan.floors import below_floor, pool_dips
from pdctl.plan.steps import ROUTER, Action, Plan, step_id
from pdctl.plan.up import plan_up
from tests.unit.deployments import gpt_oss_8p4d, mori_1p1d, r1_2p3d
from tests.unit.observations import Scene, ancestors, assert_executable, names, wanted

R1 = r1_2p3d()
P1, P2, D1, D2, D3 = names(R1.instances)
STOP, START = "stop_router:router", "start_router:router"


def flip(scene: Scene) -> Plan:
    want = replace(wanted(scene.deployment), flips=True)
    found = plan_up(scene.deployment, want, scene.seen())
    assert_executable(found)
    return found


def old_mode(deployment: Deployment) -> Scene:
    scene = Scene.converged(deployment)
    for name in (ROUTER, *names(deployment.instances)):
        scene.label(name, spec_hash="old mode")
    return scene


def first_half(found: Plan) -> set[str]:
    """Who is launched before the old router goes."""
    before = ancestors(found, STOP)
    return {step.subject for step in found.steps if step.action is Action.START and step.id in before}


@pytest.mark.parametrize("deployment", [R1, gpt_oss_8p4d()], ids=lambda each: each.cluster)
def test_half_of_each_side_is_launched_and_proven_before_the_other_half_leaves(deployment: Deployment) -> None:
    found = flip(old_mode(deployment))
    ahead = first_half(found)
    for pool in deployment.pools.values():
        members = {each.name for each in deployment.instances if each.pool == pool.name}
        assert len(ahead & members) == len(members) // 2
        for behind in members - ahead:
            proven = {step_id(Action.PROVE, name) for name in ahead}
            assert proven <= ancestors(found, step_id(Action.FENCE, behind))


@pytest.mark.parametrize("deployment", [R1, gpt_oss_8p4d(), mori_1p1d()], ids=lambda each: each.cluster)
def test_no_router_ever_hears_two_modes(deployment: Deployment) -> None:
    """All of the old mode have left and are drained when the old router stops; the new mode registers with the new."""
    found = flip(old_mode(deployment))
    for instance in deployment.instances:
        assert step_id(Action.DRAIN, instance.name) in ancestors(found, STOP) or instance.name in first_half(found)
        assert step_id(Action.FENCE, instance.name) in ancestors(found, START)
        assert START in ancestors(found, step_id(Action.REGISTER, instance.name))


def test_a_cluster_with_one_of_a_side_has_no_half_to_go_ahead() -> None:
    assert first_half(flip(old_mode(mori_1p1d()))) == set()


def test_one_side_alone_does_not_go_ahead() -> None:
    """It would have nobody to be proven with."""
    pools = {**R1.pools, "prefill": replace(R1.pools["prefill"], min_instances=2)}
    assert first_half(flip(old_mode(replace(R1, pools=pools)))) == set()


def test_that_nothing_is_served_for_a_while_is_said() -> None:
    scene = old_mode(R1)
    assert len(below_floor(pool_dips(R1, scene.seen(), flip(scene)))) == 2


def test_a_flip_that_was_cut_off_after_the_old_router_stopped_goes_on() -> None:
    scene = old_mode(R1)
    scene.state(ROUTER, UnitState.EXITED, ExitEvidence(0, None, 0.0, requested=True))
    for name in (P1, D1):
        scene.label(name, spec_hash="as-wanted")
    assert scene.members is not None
    scene.members.clear()
    found = flip(scene)
    assert {step.action for step in found.steps if step.subject == P1} == {
        Action.AWAIT_READY,
        Action.PROVE,
        Action.REGISTER,
    }
    for name in (P2, D2, D3):
        assert step_id(Action.FENCE, name) in ancestors(found, START)
    assert START in ancestors(found, step_id(Action.REGISTER, P1))


def test_once_the_new_router_runs_what_is_left_follows_in_waves() -> None:
    scene = old_mode(R1)
    scene.label(ROUTER, spec_hash="as-wanted")
    for name in (P1, D1):
        scene.label(name, spec_hash="as-wanted")
    found = flip(scene)
    assert not [step for step in found.steps if step.subject == ROUTER]
    assert step_id(Action.REGISTER, D2) in ancestors(found, step_id(Action.FENCE, D3))


def refusal(scene: Scene, *, whole: bool = True) -> str:
    """Why the flip is refused, "" if it is not."""
    try:
        refuse_half_a_flip(scene.seen(), flip(scene), whole=whole)
    except PlanRefused as refused:
        return refused.message
    return ""


def test_all_or_none() -> None:
    away, unheard, down = old_mode(R1), old_mode(R1), Scene.nothing(R1)
    away.lose("mi300x-05")
    unheard.members = None
    assert refusal(old_mode(R1)) == ""
    assert "for all or for none" in refusal(old_mode(R1), whole=False)
    assert "cannot be changed: 1 of 3 instances of pool decode are out of reach" in refusal(away)
    assert "is not known" in refusal(unheard)
    down.lose("mi300x-05")
    assert (refusal(down), refusal(down, whole=False)) == ("", "")
