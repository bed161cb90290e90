"""How one instance stands against what was seen: unknown is neither absent nor fine."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from pdctl.model.observed import MemberSeen
from pdctl.model.unit import ExitEvidence, UnitState
from pdctl.plan.standing import Stand, Standing, stand
from tests.unit.deployments import r1_2p3d, wide_ep16
from tests.unit.observations import Scene, wanted

R1 = r1_2p3d()
WIDE = wide_ep16()
ONE = R1.instances[2]
GROUP = next(instance for instance in WIDE.instances if instance.group)


def of_one(change: Callable[[Scene], None]) -> Stand:
    scene = Scene.converged(R1)
    change(scene)
    return stand(ONE, wanted(R1).hashes, scene.seen())


def of_group(change: Callable[[Scene], None]) -> Stand:
    scene = Scene.converged(WIDE)
    change(scene)
    return stand(GROUP, wanted(WIDE).hashes, scene.seen())


def exited(status: int | None, signal: str | None = None, *, requested: bool = False) -> ExitEvidence:
    return ExitEvidence(status, signal, 0.0, requested)


def member(scene: Scene, seen: MemberSeen | None) -> None:
    assert scene.members is not None
    if seen is None:
        del scene.members[ONE.name]
    else:
        scene.members[ONE.name] = seen


def no_word(scene: Scene) -> None:
    scene.members = None


@pytest.mark.parametrize(
    ("change", "standing", "reason"),
    [
        (lambda s: None, Standing.SERVING, "serving"),
        (lambda s: member(s, MemberSeen(ONE.name, 1, False, "bad health")), Standing.SERVING, "withheld.*bad health"),
        (lambda s: member(s, None), Standing.UNREGISTERED, "not registered"),
        (lambda s: member(s, MemberSeen(ONE.name, 9, True, "")), Standing.UNREGISTERED, "not registered"),
        (no_word, Standing.UNREGISTERED, "membership unknown"),
        (lambda s: s.label(ONE.name, spec_hash="old"), Standing.OUTDATED, "old -> as-wanted"),
        (lambda s: s.label(ONE.name, pool="prefill"), Standing.OUTDATED, "pool prefill -> decode"),
        (lambda s: s.state(ONE.name, UnitState.STOPPING), Standing.STOPPING, "still stopping"),
        (lambda s: s.gone(ONE.name), Standing.DOWN, "^not running$"),
        (lambda s: s.state(ONE.name, UnitState.FAILED, exited(1)), Standing.DOWN, "^exit status 1$"),
        (lambda s: s.state(ONE.name, UnitState.FAILED, exited(None, "SIGKILL")), Standing.DOWN, "killed by SIGKILL"),
        (lambda s: s.state(ONE.name, UnitState.EXITED, exited(0, requested=True)), Standing.DOWN, "stopped"),
        (lambda s: s.state(ONE.name, UnitState.UNKNOWN), Standing.BLOCKED, "state unknown"),
        (lambda s: s.lose("mi300x-03"), Standing.BLOCKED, "mi300x-03 is unreachable: no route"),
        (lambda s: s.lose("mi300x-02"), Standing.SERVING, "serving"),
    ],
)
def test_one_instance(change: Callable[[Scene], None], standing: Standing, reason: str) -> None:
    found = of_one(change)
    assert found.standing is standing
    assert re.search(reason, found.reason)


def test_blocked_carries_the_trouble_of_the_node() -> None:
    found = of_one(lambda scene: scene.lose("mi300x-03"))
    assert found.trouble is not None
    assert (found.blocked_node, found.trouble.exit_code) == ("mi300x-03", 4)


def test_a_list_that_no_longer_has_it_outweighs_the_registrars_older_word() -> None:
    seen = Scene.converged(R1).seen()
    assert seen.membership is not None
    for listed, standing in [
        ({ONE.name: 1}, Standing.SERVING),
        ({ONE.name: 2}, Standing.UNREGISTERED),
        ({}, Standing.UNREGISTERED),
    ]:
        told = replace(seen, membership=replace(seen.membership, listed=listed))
        assert stand(ONE, wanted(R1).hashes, told).standing is standing


def test_a_unit_on_another_node_is_neither_missing_nor_fine() -> None:
    def swap(scene: Scene) -> None:
        scene.units["mi300x-04"][ONE.name] = scene.units["mi300x-03"].pop(ONE.name)

    found = of_one(swap)
    assert found.standing is Standing.BLOCKED
    assert "mi300x-04" in found.reason


def test_entries_of_one_machine_show_the_same_units() -> None:
    def share(scene: Scene) -> None:
        scene.units["mi300x-04"][ONE.name] = scene.units["mi300x-03"][ONE.name]

    assert of_one(share).standing is Standing.SERVING


LEADER, *FOLLOWERS = (part.name for part in GROUP.parts)


@pytest.mark.parametrize(
    ("change", "standing"),
    [
        (lambda s: None, Standing.SERVING),
        (lambda s: s.gone(FOLLOWERS[1]), Standing.PARTIAL),
        (lambda s: s.gone(LEADER), Standing.PARTIAL),
        (lambda s: s.state(FOLLOWERS[0], UnitState.FAILED), Standing.PARTIAL),
        (lambda s: s.state(FOLLOWERS[0], UnitState.STOPPING), Standing.PARTIAL),
        (lambda s: s.label(FOLLOWERS[2], spec_hash="old"), Standing.OUTDATED),
        (lambda s: s.state(FOLLOWERS[0], UnitState.UNKNOWN), Standing.BLOCKED),
        (lambda s: s.lose(GROUP.nodes[3]), Standing.BLOCKED),
        (lambda s: [s.gone(part.name) for part in GROUP.parts], Standing.DOWN),
    ],
)
def test_a_group_is_what_its_worst_part_is(change: Callable[[Scene], None], standing: Standing) -> None:
    assert of_group(change).standing is standing


def test_a_partial_group_names_the_parts_that_do_not_run() -> None:
    assert FOLLOWERS[1] in of_group(lambda scene: scene.gone(FOLLOWERS[1])).reason
