"""Holds: what lies on the lease node, and what nobody may take for nothing. Plans leave alone what is held."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from pdctl.control.cluster import Cluster
from pdctl.control.history import record
from pdctl.control.hold_record import HoldBook, HoldRecord, must_be_known, parse_holds, record_of
from pdctl.control.lease import take_lease
from pdctl.errors import PlanRefused, Unreachable
from pdctl.model.hold import Hold, HoldKind, Holds
from pdctl.model.observed import Observed
from pdctl.model.unit import UnitState
from pdctl.plan.down import plan_down
from pdctl.plan.drain import Asked, plan_drain
from pdctl.plan.steps import Action, Plan
from pdctl.plan.up import plan_up
from pdctl.ssh.local import LocalShell
from tests.unit.deployments import r1_2p3d, wide_ep16
from tests.unit.observations import Scene, changes_of, names, steps_of, wanted

R1 = r1_2p3d()
P1, P2, D1, D2, D3 = names(R1.instances)
SLOT = D2.rpartition(".")[0]
DRAINED = Hold(SLOT, HoldKind.DRAINED, "ops@bastion", "new fans", 100.0)
BRIEF = replace(DRAINED, until_s=200.0)
CLUSTER = "c"


async def read(root: Path) -> HoldRecord:
    deployment = replace(R1, cluster=CLUSTER, state_dir=str(root))
    shell = LocalShell("n1")
    return (await record(cast(Cluster, SimpleNamespace(deployment=deployment, lease_shell=shell)), 0)).holds


async def test_what_was_held_is_held_for_the_next_operator_and_for_readers(tmp_path: Path) -> None:
    pinned = Hold("n1.main", HoldKind.PINNED, "ops@bastion", "", 100.0, 1e10)
    async with take_lease(LocalShell("n1"), str(tmp_path), CLUSTER, "drain") as lease:
        assert lease.holds == HoldRecord()
        await lease.record_holds([DRAINED, pinned])
    assert await read(tmp_path) == HoldRecord((DRAINED, pinned))
    async with take_lease(LocalShell("n1"), str(tmp_path), CLUSTER, "up") as lease:
        assert lease.holds == HoldRecord((DRAINED, pinned))


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b"null", b"\xff", b'{"version": 1, "holds": [{"slot": "n1.main"}]}']
)
async def test_a_damaged_record_is_not_taken_for_no_holds(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / CLUSTER).mkdir()
    (tmp_path / CLUSTER / "holds.json").write_bytes(damage)
    assert "damaged" in (await read(tmp_path)).trouble
    async with take_lease(LocalShell("n1"), str(tmp_path), CLUSTER, "up") as lease:
        assert "damaged" in lease.holds.trouble
        with pytest.raises(PlanRefused, match="not known") as refused:
            must_be_known(lease.holds.at(0.0))
        assert "undrain --forget-all" in refused.value.hint
        await lease.record_holds([])
    assert await read(tmp_path) == HoldRecord()


@pytest.mark.parametrize(
    "wrong", [{"kind": "lent"}, {"since_s": "x"}, {"since_s": True}, {"by": None}, {"until_s": "soon"}, {"slot": 3}]
)
def test_one_hold_that_cannot_be_read_makes_all_of_them_unknown(wrong: dict[str, object]) -> None:
    raw = record_of([DRAINED, DRAINED])
    raw["holds"][1].update(wrong)
    assert parse_holds(raw) == HoldRecord(trouble="their record on the lease node is damaged")
    assert parse_holds({**record_of([]), "version": 2}).trouble


def test_a_hold_that_ran_out_does_not_count_and_is_still_shown() -> None:
    assert Holds.at(199.0, [BRIEF]) == Holds({SLOT: BRIEF})
    late = Holds.at(200.0, [BRIEF])
    assert (late.standing, late.expired, late.all) == ({}, {SLOT: BRIEF}, (BRIEF,))


async def test_changes_of_one_run_are_written_whole(tmp_path: Path) -> None:
    written: list[tuple[str, ...]] = []

    async def write(holds: tuple[Hold, ...]) -> None:
        written.append(tuple(hold.slot for hold in holds))

    book = HoldBook([BRIEF], write)
    await book.put(replace(DRAINED, slot="a.main"))
    await book.drop(["nobody.main"])
    await book.drop([SLOT])
    assert written == [("a.main", SLOT), ("a.main",)]


def held(scene: Scene, *holds: Hold) -> Observed:
    return replace(scene.seen(), holds=Holds.at(150.0, holds))


def up(scene: Scene, *holds: Hold, restart: frozenset[str] = frozenset()) -> Plan:
    only = restart or None
    return plan_up(scene.deployment, wanted(scene.deployment), held(scene, *holds), only=only, restart=restart)


def _dead(scene: Scene) -> None:
    scene.state(D2, UnitState.FAILED)


def _outdated(scene: Scene) -> None:
    scene.label(D2, spec_hash="older")


def _unregistered(scene: Scene) -> None:
    assert scene.members is not None
    del scene.members[D2]


@pytest.mark.parametrize("kind", [HoldKind.DRAINED, HoldKind.QUARANTINED])
@pytest.mark.parametrize("change", [_dead, _outdated, _unregistered, lambda scene: scene.gone(D2)])
def test_what_is_held_is_neither_started_nor_adopted_nor_replaced(kind: HoldKind, change: object) -> None:
    scene = Scene.converged(R1)
    change(scene)  # type: ignore[operator]
    found = up(scene, replace(DRAINED, kind=kind))
    assert (found.converged, found.steps, found.blocked) == (True, (), ())
    (left,) = found.held
    assert left.slot == SLOT
    assert left.text.startswith(f"{kind.value} by ops@bastion: new fans; left as it is")
    assert D2 in changes_of(up(scene)), "without the hold it would have been touched"
    assert D2 in changes_of(up(scene, replace(DRAINED, kind=HoldKind.PINNED))), "a pin does not keep it from serving"


def test_a_restart_leaves_what_is_held_alone() -> None:
    found = up(Scene.converged(R1), DRAINED, restart=frozenset({D1, D2}))
    assert (steps_of(found, D2), bool(steps_of(found, D1))) == ([], True)
    assert "it still serves" in found.held[0].text


def test_a_fresh_up_leaves_out_what_is_held_and_says_where_a_pool_is_short() -> None:
    holds = [replace(DRAINED, slot=name.rpartition(".")[0]) for name in (P1, P2)]
    found = up(Scene.nothing(R1), *holds)
    assert [steps_of(found, name) for name in (P1, P2)] == [[], []]
    assert all(steps_of(found, name)[0] == "START" for name in (D1, D2, D3))
    assert found.warnings == ("holds leave pool prefill with 0 of at least 1 instances",)
    assert up(Scene.nothing(R1), DRAINED).warnings == ()


def test_a_hold_on_one_node_of_a_group_holds_the_whole_instance() -> None:
    wide = wide_ep16()
    instance = next(each for each in wide.instances if len(each.parts) > 1)
    part = instance.parts[1]
    scene = Scene.converged(wide)
    scene.gone(instance.leader.name)
    assert steps_of(up(scene, replace(DRAINED, slot=f"{part.node}.{part.slot}")), instance.name) == []
    assert steps_of(up(scene), instance.name) != []


def test_down_stops_what_is_held_and_keeps_the_hold() -> None:
    found = plan_down(R1, held(Scene.converged(R1), DRAINED))
    assert steps_of(found, D2) == ["FENCE", "DRAIN", "STOP"]
    assert [left.text for left in found.held] == ["drained by ops@bastion: new fans; its hold stays"]
    assert plan_down(R1, held(Scene.converged(R1), DRAINED), only=frozenset({D1})).held == ()


def asked(*slots: str, instances: tuple[str, ...], stop: bool = False, force: bool = False) -> Asked:
    found = tuple(instance for instance in R1.instances if instance.name in instances)
    return Asked(slots, found, replace(DRAINED, slot=""), stop=stop, overrides=force)


@pytest.mark.parametrize(("stop", "steps"), [(False, ["FENCE", "DRAIN"]), (True, ["FENCE", "DRAIN", "STOP"])])
def test_a_drain_holds_before_it_fences(stop: bool, steps: list[str]) -> None:
    plan = plan_drain(R1, held(Scene.converged(R1)), asked(SLOT, instances=(D2,), stop=stop))
    assert (steps_of(plan, SLOT), steps_of(plan, D2)) == (["HOLD"], steps)
    assert next(step for step in plan.steps if step.action is Action.FENCE).needs == (f"hold:{SLOT}",)


def test_what_is_drained_already_is_only_looked_at_again() -> None:
    scene = Scene.converged(R1)
    _unregistered(scene)
    plan = plan_drain(R1, held(scene, DRAINED), asked(SLOT, instances=(D2,)))
    assert (plan.converged, steps_of(plan, SLOT), steps_of(plan, D2)) == (True, [], ["FENCE", "DRAIN"])
    scene.gone(D2)
    assert plan_drain(R1, held(scene, DRAINED), asked(SLOT, instances=(D2,))).steps == ()


def test_a_drain_below_a_floor_needs_force_and_says_so() -> None:
    floors = {**R1.pools, "decode": replace(R1.pools["decode"], min_instances=3)}
    deployment, seen = replace(R1, pools=floors), held(Scene.converged(R1))
    with pytest.raises(PlanRefused, match="pool decode would be left with 2 of at least 3"):
        plan_drain(deployment, seen, asked(SLOT, instances=(D2,)))
    forced = plan_drain(deployment, seen, asked(SLOT, instances=(D2,), force=True))
    assert "pool decode would be left with 2 of at least 3" in forced.warnings
    with pytest.raises(PlanRefused, match="no decode instance would be left"):
        plan_drain(deployment, seen, asked(SLOT, instances=(D1, D2, D3), force=True))


def test_what_serves_nothing_may_be_held_whatever_the_floor() -> None:
    plan = plan_drain(R1, held(Scene.nothing(R1)), asked(SLOT, instances=(P1, P2, D1, D2, D3)))
    assert [step.action for step in plan.steps] == [Action.HOLD]


def test_a_node_out_of_reach_is_held_and_fenced_and_never_called_drained() -> None:
    scene = Scene.converged(R1)
    node = R1.instance(D2).leader.node
    scene.lose(node)
    plan = plan_drain(R1, held(scene), asked(SLOT, instances=(D2,), stop=True))
    assert (steps_of(plan, SLOT), steps_of(plan, D2)) == (["HOLD"], ["FENCE"])
    assert [blocked.node for blocked in plan.blocked] == [node]


def test_without_the_routers_node_nothing_can_be_fenced() -> None:
    scene = Scene.converged(R1)
    scene.lose(R1.router.node)
    with pytest.raises(Unreachable, match="nothing can be taken from the router"):
        plan_drain(R1, held(scene), asked(SLOT, instances=(D2,)))


@pytest.mark.parametrize("known", [True, False])
def test_the_last_of_a_role_is_not_drained_because_its_node_cannot_be_asked(known: bool) -> None:
    scene = Scene.converged(R1)
    for name in (D1, D3):
        scene.gone(name)
    scene.lose(R1.instance(D2).leader.node)
    scene.members = scene.members if known else None
    with pytest.raises(PlanRefused, match="no decode instance would be left"):
        plan_drain(R1, held(scene), asked(SLOT, instances=(D2,), force=True))
