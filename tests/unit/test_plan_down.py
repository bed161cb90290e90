"""`down` as a table: everything of the cluster goes, in order, and what cannot be asked is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from pdctl.model.unit import UnitState
from pdctl.plan.down import plan_down
from pdctl.plan.steps import REGISTRAR, ROUTER, Action, Plan, step_id
from tests.unit.deployments import r1_2p3d, wide_ep16
from tests.unit.observations import Scene, ancestors, assert_executable, changes_of, names, steps_of, stray

R1 = r1_2p3d()
ALL = names(R1.instances)
D1, D3 = ALL[2], ALL[4]
ROUTER_NODE, OTHER = "mi300x-01", "mi300x-05"


def plan(scene: Scene, only: frozenset[str] | None = None, *, now: bool = False) -> Plan:
    found = plan_down(scene.deployment, scene.seen(), only=only, now=now)
    assert_executable(found)
    return found


def changed(change: Callable[[Scene], None]) -> Scene:
    scene = Scene.converged(R1)
    change(scene)
    return scene


def test_nothing_there_is_nothing_to_do() -> None:
    assert plan(Scene.nothing(R1)).converged


def test_engines_are_fenced_and_drained_then_router_then_registrar() -> None:
    found = plan(Scene.converged(R1))
    assert changes_of(found) == dict.fromkeys([*ALL, ROUTER, REGISTRAR], "stop")
    assert all(steps_of(found, name) == ["FENCE", "DRAIN", "STOP"] for name in ALL)
    before = ancestors(found, "stop_router:router")
    assert {step_id(Action.STOP, name) for name in ALL} <= before
    assert "stop_router:router" in ancestors(found, "stop_registrar:registrar")


def test_every_engine_drains_at_the_same_time() -> None:
    found = plan(Scene.converged(R1))
    for name in ALL:
        assert {step.split(":")[1] for step in ancestors(found, step_id(Action.STOP, name))} == {name}


def test_an_emergency_drains_nothing_and_stops_even_what_cannot_be_fenced() -> None:
    found = plan(Scene.converged(R1), now=True)
    assert Action.DRAIN not in {step.action for step in found.steps}
    assert all(not step.needs for step in found.steps)


@pytest.mark.parametrize(
    ("state", "steps"),
    [
        (UnitState.RUNNING, ["FENCE", "DRAIN", "STOP"]),
        (UnitState.UNKNOWN, ["FENCE", "DRAIN", "STOP"]),
        (UnitState.STOPPING, ["FENCE", "STOP"]),
        (UnitState.FAILED, ["FENCE", "STOP"]),
        (UnitState.EXITED, ["FENCE", "STOP"]),
    ],
)
def test_what_may_serve_is_drained_and_what_is_left_is_swept(state: UnitState, steps: list[str]) -> None:
    assert steps_of(plan(changed(lambda s: s.state(D1, state))), D1) == steps


def test_a_stray_goes_too() -> None:
    scene = Scene.converged(R1)
    scene.units[OTHER]["x.all.0"] = stray(R1, "x.all.0")
    assert steps_of(plan(scene), "x.all.0") == ["FENCE", "DRAIN", "STOP"]


def test_a_selection_leaves_the_others_router_and_registrar() -> None:
    scene = Scene.converged(R1)
    scene.units[OTHER]["x.all.0"] = stray(R1, "x.all.0")
    found = plan(scene, only=frozenset([D1]))
    assert {step.subject for step in found.steps} == {D1}
    assert found.blocked == ()


def test_a_group_goes_as_one() -> None:
    deployment = wide_ep16()
    group = next(instance for instance in deployment.instances if instance.group)
    found = plan(Scene.converged(deployment), only=frozenset([group.name]))
    assert steps_of(found, group.name) == ["FENCE", "DRAIN", "STOP"]
    assert {step.subject for step in found.steps} == {group.name}


def test_a_unit_seen_through_two_entries_of_one_machine_is_stopped_once() -> None:
    scene = Scene.converged(R1)
    scene.units["mi300x-04"][D3] = replace(scene.units[OTHER][D3])
    assert steps_of(plan(scene), D3) == ["FENCE", "DRAIN", "STOP"]


def test_an_unreachable_node_blocks_its_instance_and_nothing_else() -> None:
    found = plan(changed(lambda s: s.lose(OTHER)))
    assert [(item.subject, item.node) for item in found.blocked] == [(D3, OTHER)]
    assert changes_of(found) == dict.fromkeys([*ALL[:-1], ROUTER, REGISTRAR], "stop")
    assert not found.converged


def test_behind_an_unreachable_router_nothing_that_may_serve_is_stopped() -> None:
    scene = changed(lambda s: s.lose(ROUTER_NODE))
    scene.state(D1, UnitState.FAILED)
    found = plan(scene)
    assert changes_of(found) == {D1: "stop"}
    assert {item.subject for item in found.blocked} == {ROUTER, *ALL} - {D1}
    assert {item.node for item in found.blocked} == {ROUTER_NODE}


def test_behind_an_unreachable_router_an_emergency_stops_all_that_can_be_reached() -> None:
    found = plan(changed(lambda s: s.lose(ROUTER_NODE)), now=True)
    assert changes_of(found) == dict.fromkeys(ALL[1:], "stop")
    assert {item.subject for item in found.blocked} == {ROUTER, ALL[0]}
