"""`up` as a table: what was seen x what is wanted -> changes and the steps that make them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest

from pdctl.model.observed import MemberSeen
from pdctl.model.unit import ExitEvidence, UnitState
from pdctl.plan.steps import REGISTRAR, ROUTER, Action, Plan, step_id
from pdctl.plan.up import plan_up
from tests.unit.deployments import r1_2p3d, standard_2xtp4, wide_ep16
from tests.unit.observations import (
    NO_ROUTE,
    Scene,
    ancestors,
    assert_executable,
    by_role,
    changes_of,
    names,
    steps_of,
    stray,
    wanted,
)

R1 = r1_2p3d()
ALL = names(R1.instances)
P1, P2, D1, D2, D3 = ALL
ROUTER_NODE, OTHER = "mi300x-01", "mi300x-05"
UP = ["AWAIT_READY", "PROVE", "REGISTER"]
START = ["START", *UP]
REPLACE = ["FENCE", "DRAIN", "STOP", *START]


def plan(scene: Scene, only: frozenset[str] | None = None, restart: frozenset[str] = frozenset()) -> Plan:
    found = plan_up(scene.deployment, wanted(scene.deployment), scene.seen(), only=only, restart=restart)
    assert_executable(found)
    return found


def changed(*changes: Callable[[Scene], None]) -> Scene:
    scene = Scene.converged(R1)
    for change in changes:
        change(scene)
    return scene


def unregister(scene: Scene, *gone: str) -> None:
    assert scene.members is not None
    for name in gone:
        del scene.members[name]


@pytest.mark.parametrize("deployment", [R1, standard_2xtp4(), wide_ep16()], ids=lambda found: found.cluster)
def test_converged_is_an_empty_plan(deployment: object) -> None:
    found = plan(Scene.converged(deployment))  # type: ignore[arg-type]
    assert (found.converged, found.changes, found.steps, found.blocked) == (True, (), (), ())


def test_from_nothing_everything_starts_at_once_and_is_proven_in_the_end() -> None:
    found = plan(Scene.nothing(R1))
    assert changes_of(found) == dict.fromkeys([ROUTER, REGISTRAR, *ALL], "start")
    assert all(steps_of(found, name) == START for name in ALL)
    assert [step for step in found.steps if step.action is Action.START and (step.needs or step.after)] == []
    (proof,) = [step for step in found.steps if step.action is Action.PROVE_WHOLE]
    assert "start_router:router" in proof.needs
    assert set(proof.after) == {step_id(Action.REGISTER, name) for name in ALL}
    for name in ALL:
        assert "start_registrar:registrar" in ancestors(found, step_id(Action.REGISTER, name))


FAILED = ExitEvidence(1, None, 0.0, requested=False)


@pytest.mark.parametrize(
    ("change", "kind", "steps", "reason"),
    [
        (lambda s: s.gone(D1), "start", START, "not running"),
        (lambda s: s.state(D1, UnitState.FAILED, FAILED), "start", START, "exit status 1"),
        (lambda s: unregister(s, D1), "adopt", UP, "runs, but is not registered"),
        (lambda s: s.label(D1, spec_hash="old"), "replace", REPLACE, "settings changed"),
        (lambda s: s.label(D1, pool="prefill"), "replace", REPLACE, "pool prefill -> decode"),
        (lambda s: s.state(D1, UnitState.STOPPING), "replace", ["FENCE", "STOP", *START], "still stopping"),
    ],
)
def test_one_instance_that_differs_is_all_that_changes(
    change: Callable[[Scene], None], kind: str, steps: list[str], reason: str
) -> None:
    found = plan(changed(change))
    assert changes_of(found) == {D1: kind}
    assert reason in found.changes[0].reason
    assert steps_of(found, D1) == steps
    assert {step.subject for step in found.steps} == {D1, "cluster"}
    assert found.blocked == ()


def test_a_start_follows_the_stop_of_the_same_instance() -> None:
    found = plan(changed(lambda s: s.label(D1, spec_hash="old")))
    chain = [step_id(action, D1) for action in (Action.FENCE, Action.DRAIN, Action.STOP, Action.START)]
    needs = {step.id: step.needs for step in found.steps}
    assert [needs[name] for name in chain[1:]] == [(name,) for name in chain[:-1]]


def test_a_stopping_engine_is_stopped_for_good_even_if_it_cannot_be_fenced() -> None:
    found = plan(changed(lambda s: s.state(D1, UnitState.STOPPING)))
    (stop,) = [step for step in found.steps if step.action is Action.STOP]
    assert (stop.needs, stop.after) == ((), ("fence:" + D1,))


def test_an_unknown_state_is_blocked_and_never_started_over() -> None:
    found = plan(changed(lambda s: s.state(D1, UnitState.UNKNOWN)))
    assert (found.steps, found.changes) == ((), ())
    assert [(item.subject, item.node) for item in found.blocked] == [(D1, "mi300x-03")]
    assert not found.converged


@pytest.mark.parametrize("name", [ROUTER, REGISTRAR])
def test_a_router_in_an_unknown_state_is_blocked_and_never_started_over(name: str) -> None:
    found = plan(changed(lambda s: s.state(name, UnitState.UNKNOWN)))
    assert steps_of(found, name) == []
    assert [item.subject for item in found.blocked] == [name]


def test_an_unreachable_node_blocks_its_instance_and_nothing_else() -> None:
    found = plan(changed(lambda s: s.lose(OTHER), lambda s: s.gone(D1)))
    assert [(item.subject, item.node, item.trouble) for item in found.blocked] == [(D3, OTHER, NO_ROUTE)]
    assert changes_of(found) == {D1: "start"}
    assert OTHER not in {step.node for step in found.steps}


def test_behind_an_unreachable_router_nothing_that_may_serve_is_touched() -> None:
    scene = changed(lambda s: s.lose(ROUTER_NODE), lambda s: s.label(D1, spec_hash="old"), lambda s: s.gone(D2))
    found = plan(scene, restart=frozenset([D3]))
    assert {item.subject for item in found.blocked} == {ROUTER, P1, P2, D1, D3}
    assert changes_of(found) == {D2: "start"}
    assert not {step.action for step in found.steps} & {Action.STOP, Action.FENCE, Action.PROVE_WHOLE}


def test_a_dead_registrar_is_started_and_everybody_registered_again() -> None:
    def kill(scene: Scene) -> None:
        scene.state(REGISTRAR, UnitState.FAILED, FAILED)
        scene.members = None

    found = plan(changed(kill))
    assert changes_of(found) == {REGISTRAR: "start", **dict.fromkeys(ALL, "adopt")}
    assert not {step.action for step in found.steps} & {Action.START, Action.STOP}


@pytest.mark.parametrize("state", [UnitState.RUNNING, UnitState.STOPPING])
def test_a_router_that_differs_or_still_stops_is_stopped_before_its_start(state: UnitState) -> None:
    found = plan(changed(lambda s: s.label(ROUTER, spec_hash="old"), lambda s: s.state(ROUTER, state)))
    assert changes_of(found) == {ROUTER: "replace"}
    assert "stop_router:router" in ancestors(found, "start_router:router")
    assert [step.action for step in found.steps][-1] is Action.PROVE_WHOLE


def test_engines_of_one_role_are_replaced_one_at_a_time() -> None:
    found = plan(Scene.converged(R1), restart=frozenset(ALL))
    assert changes_of(found) == dict.fromkeys(ALL, "restart")
    for role in by_role(R1).values():
        for earlier, later in itertools.pairwise(role):
            assert step_id(Action.REGISTER, earlier) in ancestors(found, step_id(Action.FENCE, later))
    assert not {step_id(Action.REGISTER, name) for name in (P1, P2)} & ancestors(found, step_id(Action.REGISTER, D3))


def test_an_engine_that_does_not_serve_waits_for_no_turn() -> None:
    scene = changed(lambda s: unregister(s, D2))
    found = plan(scene, restart=frozenset(ALL))
    assert steps_of(found, D2) == ["FENCE", "STOP", *START]
    assert [step.needs for step in found.steps if step.id == step_id(Action.FENCE, D2)] == [()]
    assert step_id(Action.REGISTER, D1) in ancestors(found, step_id(Action.FENCE, D3))


def test_what_may_serve_is_drained_where_the_registrars_word_is_missing() -> None:
    scene = changed(lambda s: setattr(s, "members", None))
    found = plan(scene, only=frozenset([D1]), restart=frozenset([D1]))
    assert steps_of(found, D1) == REPLACE


def test_restart_of_what_is_down_starts_it() -> None:
    found = plan(changed(lambda s: s.gone(D1)), only=frozenset([D1]), restart=frozenset([D1]))
    assert changes_of(found) == {D1: "start"}


def test_a_selection_touches_nobody_else_and_no_stray() -> None:
    scene = Scene.nothing(R1)
    scene.units[OTHER]["x.all.0"] = stray(R1, "x.all.0")
    found = plan(scene, only=frozenset([D1, P1]))
    assert {change.subject for change in found.changes} == {ROUTER, REGISTRAR, D1, P1}


def test_differences_are_shown_with_the_change() -> None:
    scene = changed(lambda s: s.label(D1, spec_hash="old"))
    told = replace(wanted(R1), differences={D1: ("kv.mode: read -> write",)})
    found = plan_up(R1, told, scene.seen())
    assert found.changes[0].differences == ("kv.mode: read -> write",)


def test_a_stray_is_fenced_drained_and_stopped() -> None:
    scene = Scene.converged(R1)
    scene.units[OTHER]["x.all.0"] = stray(R1, "x.all.0")
    found = plan(scene)
    assert changes_of(found) == {"x.all.0": "stop"}
    assert [(step.action.name, step.node) for step in found.steps] == [
        ("FENCE", OTHER),
        ("DRAIN", OTHER),
        ("STOP", OTHER),
    ]


def test_a_stray_that_ended_is_left_alone() -> None:
    scene = Scene.converged(R1)
    scene.units[OTHER]["x.all.0"] = replace(stray(R1, "x.all.0"), state=UnitState.EXITED)
    assert plan(scene).converged


def test_a_stray_seen_through_two_entries_of_one_machine_is_stopped_once() -> None:
    scene = Scene.converged(R1)
    for node in ("mi300x-04", OTHER):
        scene.units[node]["x.all.0"] = stray(R1, "x.all.0")
    assert steps_of(plan(scene), "x.all.0") == ["FENCE", "DRAIN", "STOP"]


def test_nobody_starts_on_gpus_that_a_stray_still_holds() -> None:
    scene = changed(lambda s: s.gone(D3))
    scene.units[OTHER]["x.all.0"] = stray(R1, "x.all.0", gpus=(7,))
    found = plan(scene)
    assert "stop:x.all.0" in ancestors(found, step_id(Action.START, D3))


def test_instances_that_swap_gpus_stop_first_and_wait_for_no_turn() -> None:
    deployment = standard_2xtp4()
    first, second = deployment.instances
    scene = Scene.converged(deployment)
    scene.label(first.name, spec_hash="old", gpus=second.leader.gpus)
    scene.label(second.name, spec_hash="old", gpus=first.leader.gpus)
    found = plan(scene)
    for name in (first.name, second.name):
        before = ancestors(found, step_id(Action.START, name))
        assert {step_id(Action.STOP, each.name) for each in (first, second)} <= before


def test_a_partial_group_is_taken_down_whole_and_started_anew() -> None:
    deployment = wide_ep16()
    group = next(instance for instance in deployment.instances if instance.group)
    scene = Scene.converged(deployment)
    scene.gone(group.parts[2].name)
    found = plan(scene)
    assert changes_of(found) == {group.name: "replace"}
    assert group.parts[2].name in found.changes[0].reason
    assert steps_of(found, group.name) == ["FENCE", "STOP", *START]


def test_a_withheld_member_is_the_registrars_business() -> None:
    scene = Scene.converged(R1)
    assert scene.members is not None
    scene.members[D1] = MemberSeen(D1, 1, False, "3 bad health answers")
    assert plan(scene).converged
