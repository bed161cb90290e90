"""`pdctl plan` in words: what stands against it, what was edited, what follows, what drifted, what it costs."""

from __future__ import annotations

from dataclasses import replace

from pdctl.cli.plan_view import plan_lines
from pdctl.control.planning import Planning
from pdctl.control.up import UpOptions, decide
from pdctl.errors import StaleBase
from pdctl.model.unit import ExitEvidence, UnitState
from pdctl.plan.drift import Drift
from pdctl.plan.floors import pool_dips
from pdctl.plan.inventory_diff import Edit, EditKind
from pdctl.plan.up import plan_up
from tests.unit.deployments import r1_2p3d
from tests.unit.observations import Scene, names, wanted

R1 = r1_2p3d()
P1, P2, D1, D2, D3 = names(R1.instances)
DIED = ExitEvidence(None, "SIGKILL", 0.0, requested=False)


def planning(scene: Scene) -> Planning:
    want = replace(wanted(R1), differences={D1: ("args.max-num-seqs: 64 -> 128",)})
    seen = scene.seen()
    made = plan_up(R1, want, seen)
    return Planning(made, seen, R1, UpOptions(), dips=pool_dips(R1, seen, made))


def test_edits_changes_and_drift_stand_apart() -> None:
    scene = Scene.converged(R1)
    scene.label(D1, spec_hash="old")
    scene.state(D2, UnitState.FAILED, DIED)
    told = replace(
        planning(scene),
        edits=(Edit(EditKind.CHANGED, "pool decode", "args.max-num-seqs", "64", "128"),),
        drift={D2: Drift(D2, "died: killed by SIGKILL")},
    )
    assert list(plan_lines(told, steps=False)) == [
        "edited since the inventory was last applied:",
        "  pool decode.args.max-num-seqs: 64 -> 128",
        "changes:",
        f"  ± replace {D1}: settings changed (spec old -> as-wanted)",
        "      args.max-num-seqs: 64 -> 128",
        "drift, which the inventory did not ask for:",
        f"  + start {D2}: died: killed by SIGKILL",
    ]


def test_what_a_plan_costs_and_waits_for_is_shown() -> None:
    scene = Scene.converged(R1)
    scene.label(D1, spec_hash="old")
    scene.label(D2, spec_hash="old")
    lines = list(plan_lines(planning(scene), steps=True))
    assert "pool decode: 3 serve now, at least 2 meanwhile, 3 then (floor 1)" in lines
    assert f"  fence:{D2}  <- register:{D1}" in lines


def test_what_stands_against_it_comes_first() -> None:
    told = replace(planning(Scene.converged(R1)), refusals=(StaleBase("kim applied another", hint="--adopt"),))
    assert list(plan_lines(told, steps=False)) == [
        "! `pdctl up` would be refused: kim applied another",
        "    hint: --adopt",
        "nothing to do: the cluster is what the inventory says",
    ]


def test_remote_text_cannot_drive_the_terminal() -> None:
    scene = Scene.converged(R1)
    scene.state(D2, UnitState.FAILED, replace(DIED, signal=None, reason="\x1b[31mred"))
    assert not any("\x1b" in line for line in plan_lines(planning(scene), steps=True))


def test_with_nothing_on_record_nothing_is_drift() -> None:
    scene = Scene.converged(R1)
    scene.label(D1, spec_hash="somebody's")
    decided = decide(R1, UpOptions(), scene.seen(), None)
    assert decided.drift == {}
