"""Plans of random observations: they can be executed, and they never do what must not be done."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pdctl.model.deployment import Deployment
from pdctl.model.observed import MemberSeen, Observed
from pdctl.model.role import UnitKind
from pdctl.model.unit import UnitState
from pdctl.plan.down import plan_down
from pdctl.plan.floors import pool_dips
from pdctl.plan.occupied import holders
from pdctl.plan.steps import CLUSTER, REGISTRAR, ROUTER, Action, Plan, step_id
from pdctl.plan.up import plan_up
from tests.unit.deployments import gpt_oss_8p4d, mori_1p1d, r1_2p3d, standard_2xtp4, wide_ep16
from tests.unit.observations import Scene, ancestors, assert_executable, stray, wanted

DEPLOYMENTS = (r1_2p3d(), gpt_oss_8p4d(), mori_1p1d(), standard_2xtp4(), wide_ep16())
STATES = st.sampled_from([UnitState.RUNNING] * 4 + list(UnitState))
GPUS = st.lists(st.integers(0, 7), max_size=4, unique=True).map(lambda found: tuple(sorted(found)))
HASHES = st.sampled_from(["as-wanted", "as-wanted", "old"])
CALM = ["as it is"] * 3 + ["gone", "changed", "moved"]
WILD = ["changed", "moved", "moved"]


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    """Any cluster, with units in any state, of any spec, on any GPUs, with strays, unreachable nodes and members."""
    deployment = draw(st.sampled_from(DEPLOYMENTS))
    scene = Scene.converged(deployment)
    assert scene.members is not None
    fates = draw(st.sampled_from([CALM, CALM, WILD]))
    for node, units in scene.units.items():
        for name, unit in list(units.items()):
            fate = draw(st.sampled_from(fates))
            if fate == "gone":
                del units[name]
            elif fate == "changed":
                labels = replace(unit.labels, spec_hash=draw(HASHES))
                units[name] = replace(unit, labels=labels, state=draw(STATES))
            elif fate == "moved" and unit.labels.kind is UnitKind.ENGINE:
                labels = replace(unit.labels, spec_hash="old", gpus=draw(GPUS))
                units[name] = replace(unit, labels=labels)
        if draw(st.integers(0, 4)) == 0:
            units[f"{node}.gone.0"] = stray(deployment, f"{node}.gone.0", draw(GPUS))
    for name in draw(st.lists(st.sampled_from(sorted(scene.members)), unique=True)):
        scene.members[name] = MemberSeen(name, draw(st.integers(1, 2)), draw(st.booleans()), "")
    for name in draw(st.lists(st.sampled_from(sorted(scene.members)), unique=True, max_size=3)):
        del scene.members[name]
    if draw(st.integers(0, 3)) == 0:
        scene.members = None
    scene.lose(*draw(st.lists(st.sampled_from(sorted(deployment.nodes)), unique=True, max_size=2)))
    return scene


@st.composite
def plans(draw: st.DrawFn) -> tuple[Deployment, Observed, Plan]:
    """A plan of `up`, `restart` or `down`, for all or a selection."""
    scene = draw(scenes())
    deployment, seen = scene.deployment, scene.seen()
    names = sorted(instance.name for instance in deployment.instances)
    some = st.lists(st.sampled_from(names), unique=True).map(frozenset)
    only = draw(st.none() | some)
    if draw(st.booleans()):
        return deployment, seen, plan_down(deployment, seen, only=only, now=draw(st.booleans()))
    return deployment, seen, plan_up(deployment, wanted(deployment), seen, only=only, restart=draw(some))


def nodes_of(deployment: Deployment, subject: str, node: str) -> tuple[str, ...]:
    """The nodes that a step on `subject` works on."""
    return next((found.nodes for found in deployment.instances if found.name == subject), (node,))


@given(plans())
def test_plans_can_be_executed(drawn: tuple[Deployment, Observed, Plan]) -> None:
    assert_executable(drawn[2])


@given(plans())
def test_no_start_before_everything_on_its_gpus_is_stopped(drawn: tuple[Deployment, Observed, Plan]) -> None:
    deployment, seen, plan = drawn
    stops = {step.subject for step in plan.steps if step.action is Action.STOP}
    for step in plan.steps:
        if step.action is not Action.START:
            continue
        before = ancestors(plan, step.id)
        gpus = {part.node: set(part.gpus) for part in deployment.instance(step.subject).parts}
        for node, wants in gpus.items():
            for unit in seen.nodes[node].units:
                lives = unit.state in (UnitState.RUNNING, UnitState.STOPPING)
                if lives and unit.labels.instance in stops and wants & set(unit.labels.gpus):
                    assert step_id(Action.STOP, unit.labels.instance) in before


@given(plans())
def test_what_serves_is_fenced_and_drained_before_its_stop(drawn: tuple[Deployment, Observed, Plan]) -> None:
    deployment, seen, plan = drawn
    members = seen.membership.members if seen.membership is not None else {}
    alone = {instance.name for instance in deployment.instances if len(instance.parts) == 1}
    for step in plan.steps:
        unit, member = seen.unit(step.subject), members.get(step.subject)
        if step.action is not Action.STOP or unit is None or member is None:
            continue
        before = ancestors(plan, step.id)
        assert step_id(Action.FENCE, step.subject) in before
        serves = unit.state is UnitState.RUNNING and member.generation == unit.labels.generation
        if serves and step.subject in alone and "down now" not in {each.reason for each in plan.steps}:
            assert step_id(Action.DRAIN, step.subject) in before


@given(plans())
def test_nothing_is_planned_for_what_cannot_be_asked(drawn: tuple[Deployment, Observed, Plan]) -> None:
    deployment, seen, plan = drawn
    assert not {step.node for step in plan.steps} & set(seen.unreachable)
    if deployment.router.node in seen.unreachable:
        assert Action.DRAIN not in {step.action for step in plan.steps}
    for step in plan.steps:
        if step.action is Action.START:
            assert not set(nodes_of(deployment, step.subject, step.node)) & set(seen.unreachable)


@given(plans())
def test_every_step_is_about_the_inventory_or_a_stray_of_the_cluster(
    drawn: tuple[Deployment, Observed, Plan],
) -> None:
    deployment, seen, plan = drawn
    known = {instance.name for instance in deployment.instances} | {ROUTER, REGISTRAR, CLUSTER}
    for step in plan.steps:
        if step.subject not in known:
            unit = seen.unit(step.subject)
            assert unit is not None
            assert unit.labels.cluster == deployment.cluster
            assert step.action in (Action.FENCE, Action.DRAIN, Action.STOP)


@given(plans())
def test_a_unit_in_an_unknown_state_is_never_started_over(drawn: tuple[Deployment, Observed, Plan]) -> None:
    _, seen, plan = drawn
    starts = {Action.START, Action.START_ROUTER, Action.START_REGISTRAR}
    for step in plan.steps:
        unit = seen.unit(step.subject)
        if step.action in starts and unit is not None:
            assert unit.state is not UnitState.UNKNOWN


@given(st.sampled_from(DEPLOYMENTS))
def test_a_converged_cluster_needs_nothing(deployment: Deployment) -> None:
    plan = plan_up(deployment, wanted(deployment), Scene.converged(deployment).seen())
    assert plan.converged
    assert plan.steps == ()


@given(scenes())
def test_every_instance_is_fine_or_changed_or_blocked(scene: Scene) -> None:
    deployment = scene.deployment
    plan = plan_up(deployment, wanted(deployment), scene.seen())
    subjects = {change.subject for change in plan.changes}
    blocked = {item.subject for item in plan.blocked}
    assert not subjects & blocked
    for instance in deployment.instances:
        if instance.name not in subjects | blocked:
            for part in instance.parts:
                unit = scene.seen().unit(part.name)
                assert unit is not None
                assert (unit.state, unit.labels.spec_hash) == (UnitState.RUNNING, "as-wanted")


@given(scenes(), st.integers(1, 4))
def test_waves_never_break_a_floor_that_a_pool_is_above(scene: Scene, at_once: int) -> None:
    """But where slots have to swap their GPUs: those stop together, and the plan is refused unless it is forced."""
    deployment, seen = scene.deployment, scene.seen()
    plan = plan_up(deployment, wanted(deployment), seen, at_once=at_once)
    swapping = {
        name
        for instance in deployment.instances
        for name in (instance.name, *holders(deployment, instance, seen))
        if holders(deployment, instance, seen)
    }
    fenced = {step.subject for step in plan.steps if step.action is Action.FENCE}
    strays = fenced - {instance.name for instance in deployment.instances}
    for dip in pool_dips(deployment, seen, plan):
        if dip.before > dip.floor and not fenced & swapping and not strays:
            assert not dip.breaks_floor
            assert dip.before - dip.least <= at_once
