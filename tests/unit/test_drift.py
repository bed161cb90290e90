"""Drift by hand (row 47): what a plan has to do although nobody edited the inventory there, told apart from changes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pdctl.model.unit import ExitEvidence, UnitState
from pdctl.plan.drift import Drift, Known, anything_lives, find_drift
from pdctl.plan.steps import REGISTRAR, ROUTER
from pdctl.plan.up import plan_up
from tests.unit.deployments import r1_2p3d
from tests.unit.observations import HASH, Scene, names, stray, wanted

R1 = r1_2p3d()
ALL = names(R1.instances)
P1, P2, D1, D2, D3 = ALL
APPLIED = Known(dict.fromkeys((*ALL, ROUTER, REGISTRAR), HASH))
BEFORE_THE_EDIT = Known(dict.fromkeys((*ALL, ROUTER, REGISTRAR), "old"))
DIED = ExitEvidence(None, "SIGKILL", 0.0, requested=False)
STOPPED = ExitEvidence(0, None, 0.0, requested=True)


def drifts(scene: Scene, known: Known, *, restart: frozenset[str] = frozenset()) -> dict[str, Drift | None]:
    """The drift of each change of a plan, by its subject."""
    seen = scene.seen()
    plan = plan_up(R1, wanted(R1), seen, restart=restart)
    return {each.subject: find_drift(each, R1, seen, wanted(R1).hashes, known) for each in plan.changes}


def unregister(scene: Scene) -> None:
    assert scene.members is not None
    del scene.members[D1]


@pytest.mark.parametrize(
    ("by_hand", "drift"),
    [
        (lambda s: s.state(D1, UnitState.FAILED, DIED), Drift(D1, "died: killed by SIGKILL")),
        (lambda s: s.state(D1, UnitState.EXITED, STOPPED), Drift(D1, "was stopped by hand")),
        (lambda s: s.gone(D1), Drift(D1, "is gone without a trace")),
        (unregister, Drift(D1, "runs, but is not registered")),
        (
            lambda s: s.label(D1, spec_hash="x"),
            Drift(D1, "was started otherwise (spec x)", by_hand=True),
        ),
        (lambda s: s.state(ROUTER, UnitState.FAILED, DIED), Drift(ROUTER, "died: killed by SIGKILL")),
    ],
)
def test_drift_by_hand_is_told_where_the_inventory_did_not_change(
    by_hand: Callable[[Scene], None], drift: Drift
) -> None:
    scene = Scene.converged(R1)
    by_hand(scene)
    assert drifts(scene, APPLIED) == {drift.subject: drift}


def test_a_stray_that_no_inventory_had_is_somebodys_doing() -> None:
    scene = Scene.converged(R1)
    scene.units["mi300x-05"]["x.main.0"] = stray(R1, "x.main.0")
    found = drifts(scene, APPLIED)
    assert found == {"x.main.0": Drift("x.main.0", "runs, and is in no inventory that was applied", by_hand=True)}


def test_a_node_that_was_removed_from_the_inventory_is_a_change() -> None:
    scene = Scene.converged(R1)
    scene.units["mi300x-05"]["x.main.0"] = stray(R1, "x.main.0")
    assert drifts(scene, Known({**APPLIED.applied, "x.main.0": "x"})) == {"x.main.0": None}


def test_what_follows_from_an_edit_is_no_drift() -> None:
    scene = Scene.converged(R1)
    for name in (*ALL, ROUTER, REGISTRAR):
        scene.label(name, spec_hash="old")
    found = drifts(scene, BEFORE_THE_EDIT)
    assert set(found) == {*ALL, ROUTER, REGISTRAR}
    assert set(found.values()) == {None}


def test_a_new_node_is_a_change_though_nothing_runs_there() -> None:
    scene = Scene.converged(R1)
    scene.gone(D3)
    known = Known({name: spec for name, spec in APPLIED.applied.items() if name != D3})
    assert drifts(scene, known) == {D3: None}


def test_what_another_run_launched_is_drift_but_not_by_hand() -> None:
    scene = Scene.converged(R1)
    scene.label(D1, spec_hash="half way")
    known = Known(APPLIED.applied, {D1: {"half way"}})
    assert drifts(scene, known) == {D1: Drift(D1, "was launched with other settings since (spec half way)")}


def test_a_restart_that_was_asked_for_is_no_drift() -> None:
    assert drifts(Scene.converged(R1), APPLIED, restart=frozenset([D1])) == {D1: None}


def test_a_cluster_that_was_taken_down_has_not_drifted() -> None:
    assert not anything_lives(Scene.nothing(R1).seen())
    assert anything_lives(Scene.converged(R1).seen())
