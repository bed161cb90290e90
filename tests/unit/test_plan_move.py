"""`move` as a table: what was seen x what is asked -> steps, turns, floors, refusals."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace

import pytest

from pdctl.errors import PdctlError, PlanRefused, Unreachable
from pdctl.model.deployment import Deployment, Parallel
from pdctl.model.hold import Hold, HoldKind, Holds
from pdctl.model.role import Role
from pdctl.model.unit import UnitState
from pdctl.plan.move import plan_move
from pdctl.plan.shift import shifts_between
from pdctl.plan.steps import REGISTRAR, ROUTER, Action, Plan, step_id
from tests.unit.deployments import cluster, node, place, pool, r1_2p3d, slot, wide_ep16
from tests.unit.observations import Scene, ancestors, assert_executable, steps_of, stray

R1 = r1_2p3d()
P1, P2, D1, D2, D3 = (instance.name for instance in R1.instances)
CHAIN = ["FENCE", "DRAIN", "STOP", "START", "AWAIT_READY", "PROVE", "REGISTER"]


def after(before: Deployment, pools: Mapping[str, str | None]) -> Deployment:
    """The deployment with slots (by id) in other pools."""
    slots = tuple(replace(each, pool=pools.get(each.id, each.pool)) for each in before.slots)
    return replace(before, slots=slots, instances=place(slots, before.pools))


def plan(scene: Scene, pools: Mapping[str, str | None], *, at_once: int = 1, force: bool = False) -> Plan:
    target = after(scene.deployment, pools)
    shifts = shifts_between(scene.deployment, target)
    found = plan_move(target, shifts, scene.seen(), at_once=at_once, force=force)
    assert_executable(found)
    return found


def to(pool_name: str | None, *nodes: int) -> dict[str, str | None]:
    return {f"mi300x-{number:02d}.all": pool_name for number in nodes}


def waits(found: Plan, action: Action, subject: str) -> set[str]:
    return set(ancestors(found, step_id(action, subject)))


def test_one_slot_is_fenced_drained_written_stopped_and_started_in_this_order() -> None:
    found = plan(Scene.converged(R1), to("decode", 2))
    assert [step.action.name for step in found.steps] == [*CHAIN[:2], "COMMIT", *CHAIN[2:]]
    order = [step.id for step in found.steps]
    for earlier, later in itertools.pairwise(order):
        assert earlier in ancestors(found, later)
    assert [(change.subject, change.reason) for change in found.changes] == [("mi300x-02.all", "prefill -> decode")]
    assert {step.subject for step in found.steps} == {P2, "mi300x-02.all"}, "nothing else is touched"


def test_nothing_to_do_is_an_empty_plan() -> None:
    assert plan(Scene.converged(R1), {}).converged


@pytest.mark.parametrize(("at_once", "together"), [(1, False), (2, True)])
def test_slots_of_one_pool_go_in_turns_of_at_once(at_once: int, together: bool) -> None:
    found = plan(Scene.converged(R1), to("prefill", 4, 5), at_once=at_once)
    second = waits(found, Action.FENCE, D3)
    assert (step_id(Action.REGISTER, D2) in second) is not together


def test_slots_of_different_pools_do_not_wait_for_each_other() -> None:
    pools = [pool("prefill", Role.PREFILL, Parallel()), *(pool(f"d{n}", Role.DECODE, Parallel()) for n in (1, 2))]
    nodes = [node(f"n{n}", n, 1) for n in range(1, 6)]
    slots = [slot(f"n{n}", (0,), name) for n, name in enumerate(["prefill", "d1", "d1", "d2", "d2"], 1)]
    scene = Scene.converged(cluster("two-decodes", nodes, pools, slots))
    found = plan(scene, {"n2.all": "prefill", "n4.all": "prefill"})
    assert waits(found, Action.FENCE, "n2.all.0") == waits(found, Action.FENCE, "n4.all.0") == set()


def test_those_of_different_pools_go_one_by_one_where_a_role_would_be_left_empty() -> None:
    pools = [pool("prefill", Role.PREFILL, Parallel()), *(pool(f"d{n}", Role.DECODE, Parallel()) for n in (1, 2, 3))]
    free = [replace(each, min_instances=0) for each in pools]
    nodes = [node(f"n{n}", n, 1) for n in range(1, 4)]
    slots = [slot(f"n{n}", (0,), name) for n, name in enumerate(["prefill", "d1", "d2"], 1)]
    scene = Scene.converged(cluster("same-role", nodes, free, slots))
    found = plan(scene, {"n2.all": "d3", "n3.all": "d3"})
    assert step_id(Action.REGISTER, "n2.all.0") in waits(found, Action.FENCE, "n3.all.0")


def test_a_spare_is_only_started_and_one_that_leaves_only_stopped() -> None:
    scene = Scene.converged(after(R1, to(None, 2)))
    found = plan(scene, to("decode", 2))
    assert [step.action.name for step in found.steps] == ["COMMIT", *CHAIN[3:]]
    found = plan(Scene.converged(R1), to(None, 2))
    assert [step.action.name for step in found.steps] == ["FENCE", "DRAIN", "COMMIT", "STOP"]


def test_what_is_dead_is_neither_fenced_nor_drained_and_does_not_wait_its_turn() -> None:
    scene = Scene.converged(R1)
    scene.put(scene.deployment.instance(D3), UnitState.FAILED)
    assert scene.members is not None
    del scene.members[D3]
    found = plan(scene, to("prefill", 4, 5))
    assert steps_of(found, D3) == CHAIN[2:]
    assert waits(found, Action.STOP, D3) == {step_id(Action.COMMIT, "mi300x-05.all")}


def split(*names: str) -> Deployment:
    """A box with two slots, and one node of each role beside it."""
    pools = [pool("prefill", Role.PREFILL, Parallel(tp=4)), pool("decode", Role.DECODE, Parallel(tp=2))]
    nodes = [node("box", 1), node("p", 2), node("d", 3)]
    slots = [
        slot("box", range(4), names[0], "a"),
        slot("box", range(4, 8), names[1], "b"),
        slot("p", range(8), "prefill"),
        slot("d", range(8), "decode"),
    ]
    return cluster("split", nodes, pools, slots)


def test_a_slot_of_other_shape_is_written_once_and_all_its_engines_change_together() -> None:
    found = plan(Scene.converged(split("prefill", "decode")), {"box.b": "prefill"})
    assert steps_of(found, "box.b") == ["COMMIT"]
    drained = {step_id(Action.DRAIN, f"box.b.{index}") for index in (0, 1)}
    assert drained <= waits(found, Action.COMMIT, "box.b")
    stopped = {step_id(Action.STOP, f"box.b.{index}") for index in (0, 1)}
    assert stopped <= waits(found, Action.START, "box.b.0")
    assert not any(step.subject.startswith("box.a") for step in found.steps), "the neighbour serves on"


def test_a_group_moves_whole() -> None:
    wide = wide_ep16()
    group = next(instance for instance in wide.instances if instance.group)
    other = next(name for name, each in wide.pools.items() if each.role is not group.role)
    target: dict[str, str | None] = {f"{part.node}.{part.slot}": other for part in group.parts}
    found = shifts_between(wide, after(wide, target))
    assert [(shift.name, len(shift.slots)) for shift in found] == [(group.group, len(group.parts))]


def refused(scene: Scene, pools: Mapping[str, str | None], *, force: bool = False) -> PdctlError:
    with pytest.raises(PdctlError) as error:
        plan(scene, pools, force=force)
    assert isinstance(error.value, PlanRefused | Unreachable)
    return error.value


def test_a_floor_is_kept_by_those_that_serve_and_not_by_those_that_should() -> None:
    pools = {**R1.pools, "decode": replace(R1.pools["decode"], min_instances=2)}
    scene = Scene.converged(replace(R1, pools=pools))
    scene.put(scene.deployment.instance(D3), UnitState.FAILED)
    assert scene.members is not None
    del scene.members[D3]
    assert "pool decode would be left with 1 of at least 2" in refused(scene, to("prefill", 4)).message
    found = plan(scene, to("prefill", 4), force=True)
    assert found.warnings and "pool decode" in found.warnings[0]


@pytest.mark.parametrize("force", [False, True])
def test_the_last_that_serves_in_a_role_is_never_taken(force: bool) -> None:
    scene = Scene.converged(R1)
    scene.put(scene.deployment.instance(P1), UnitState.FAILED)
    assert scene.members is not None
    del scene.members[P1]
    assert "no prefill instance would be left" in refused(scene, to("decode", 2), force=force).message


@pytest.mark.parametrize("kind", list(HoldKind))
def test_a_held_slot_is_not_moved(kind: HoldKind) -> None:
    held = Hold("mi300x-02.all", kind, "eve@desk", "new fans", 0.0)
    target = after(R1, to("decode", 2))
    seen = replace(Scene.converged(R1).seen(), holds=Holds.at(1.0, (held,)))
    with pytest.raises(PlanRefused, match=f"{kind.value} by eve@desk: new fans"):
        plan_move(target, shifts_between(R1, target), seen)


def test_nodes_that_cannot_be_asked() -> None:
    for name in ("mi300x-02", R1.router.node):
        scene = Scene.converged(R1)
        scene.lose(name)
        error = refused(scene, to("decode", 2))
        assert isinstance(error, Unreachable)
        assert error.node == name


def test_what_lives_on_the_gpus_and_is_not_in_the_slot_is_not_stopped_by_a_move() -> None:
    scene = Scene.converged(R1)
    scene.units["mi300x-02"]["old"] = stray(R1, "mi300x-02.all.7", (0,))
    assert "mi300x-02.all.7 holds GPUs" in refused(scene, to("decode", 2)).message


@pytest.mark.parametrize("state", [UnitState.UNKNOWN, UnitState.STOPPING])
def test_an_engine_in_an_uncertain_state_is_not_moved(state: UnitState) -> None:
    scene = Scene.converged(R1)
    scene.put(scene.deployment.instance(P2), state)
    assert P2 in refused(scene, to("decode", 2)).message


@pytest.mark.parametrize("name", [ROUTER, REGISTRAR])
def test_without_router_or_registrar_nothing_could_be_registered(name: str) -> None:
    scene = Scene.converged(R1)
    del scene.units[R1.router.node][name]
    assert f"the {name} does not run" in refused(scene, to("decode", 2)).message


def test_where_nothing_runs_only_the_inventory_is_written() -> None:
    found = plan(Scene.nothing(R1), to("decode", 2))
    assert [step.action for step in found.steps] == [Action.COMMIT]
    assert "only the inventory is changed" in found.warnings[0]
