"""Healing as a table: who is dead, and what is done about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pdctl.model.hold import Hold, HoldKind, Holds
from pdctl.model.observed import Observed
from pdctl.model.unit import ExitEvidence, UnitState
from pdctl.plan.heal import HUNG_S, ONCE_IN_S, Death, Memory, Remedy, deaths, treat
from tests.unit.deployments import r1_2p3d, wide_ep16
from tests.unit.observations import Scene, names

R1 = r1_2p3d()
P1, P2, D1, D2, D3 = names(R1.instances)
SLOT = R1.instances[2].leader.node + "." + R1.instances[2].leader.slot
KILLED = ExitEvidence(None, "SIGKILL", 0.0, requested=False)
STOPPED = ExitEvidence(0, None, 0.0, requested=True)
NOW_S = 1_800_000_000.0


def seen(*changes: Callable[[Scene], None]) -> Observed:
    scene = Scene.converged(R1)
    for change in changes:
        change(scene)
    return scene.seen()


def kill(scene: Scene) -> None:
    scene.state(D1, UnitState.FAILED, KILLED)


def test_what_ended_unasked_is_dead_with_its_cause() -> None:
    assert deaths(R1, seen(kill)) == (Death(D1, (SLOT,), "killed by SIGKILL"),)


def test_an_end_with_status_0_that_nobody_asked_for_is_a_death_too() -> None:
    ended = ExitEvidence(0, None, 0.0, requested=False)
    (death,) = deaths(R1, seen(lambda s: s.state(D1, UnitState.EXITED, ended)))
    assert death.cause == "exit status 0"


@pytest.mark.parametrize(
    "alive",
    [
        lambda s: None,
        lambda s: s.gone(D1),
        lambda s: s.state(D1, UnitState.EXITED, STOPPED),
        lambda s: s.state(D1, UnitState.FAILED, ExitEvidence(None, "SIGKILL", 0.0, requested=True, reason="survives")),
        lambda s: s.state(D1, UnitState.STOPPING),
        lambda s: s.state(D1, UnitState.UNKNOWN),
        lambda s: s.lose("mi300x-03"),
    ],
    ids=[
        "serves",
        "is not there",
        "was stopped",
        "was stopped in part",
        "stops",
        "state unknown",
        "out of reach",
    ],
)
def test_who_is_not_known_to_be_dead_is_left_alone(alive: Callable[[Scene], None]) -> None:
    assert deaths(R1, seen(alive)) == ()


def test_a_node_out_of_reach_is_not_dead_whatever_was_seen_before() -> None:
    assert deaths(R1, seen(kill, lambda s: s.lose("mi300x-03"))) == ()


@pytest.mark.parametrize(
    "holds",
    [
        Holds.at(NOW_S, [Hold(SLOT, HoldKind.DRAINED, "kim@laptop", "fans", NOW_S)]),
        Holds(trouble="their record is damaged"),
    ],
)
def test_what_is_held_or_may_be_is_left_alone(holds: Holds) -> None:
    observed = seen(kill)
    assert deaths(R1, Observed(observed.nodes, {}, observed.membership, "", holds)) == ()


@pytest.mark.parametrize(("hung_s", "dead"), [(HUNG_S - 1, False), (HUNG_S, True)])
def test_an_engine_that_hangs_for_long_is_dead(hung_s: float, dead: bool) -> None:
    found = deaths(R1, seen(), {D1: hung_s})
    assert [(death.instance, death.hung) for death in found] == ([(D1, True)] if dead else [])


def test_one_dead_part_is_the_death_of_its_group() -> None:
    wide = wide_ep16()
    group = next(instance for instance in wide.instances if instance.group)
    scene = Scene.converged(wide)
    scene.state(group.parts[2].name, UnitState.FAILED, KILLED)
    (death,) = deaths(wide, scene.seen())
    assert death.instance == group.name
    assert len(death.slots) == len(group.parts)


@pytest.mark.parametrize(
    ("ago_s", "remedy"),
    [
        (None, Remedy.RELAUNCH),
        (0.0, Remedy.QUARANTINE),
        (ONCE_IN_S - 1, Remedy.QUARANTINE),
        (ONCE_IN_S, Remedy.RELAUNCH),
        (-3600.0, Remedy.QUARANTINE),
    ],
)
def test_a_slot_is_relaunched_once_in_half_an_hour_then_quarantined(ago_s: float | None, remedy: Remedy) -> None:
    """A time that lies ahead is of a clock that was set back since (row 9): it counts as lately."""
    memory = Memory({} if ago_s is None else {SLOT: NOW_S - ago_s})
    (treatment,) = treat(deaths(R1, seen(kill)), memory, NOW_S)
    assert treatment.remedy is remedy


def test_the_memory_is_the_journal() -> None:
    entries: list[dict[str, Any]] = [
        {"event": "healing", "slots": ["n1.main"], "ts": 5.0},
        {"event": "healing", "slots": ["n1.main", "n2.main"], "ts": 9.0},
        {"event": "healing", "slots": ["n2.main"], "ts": 7.0},
        {"event": "healed", "slots": ["n3.main"], "ts": 9.0},
        {"event": "healing", "slots": "n4.main", "ts": 9.0},
        {"event": "healing", "slots": ["n5.main"], "ts": "soon"},
        {},
    ]
    assert Memory.of_journal(entries).relaunched == {"n1.main": 9.0, "n2.main": 9.0}


def test_what_the_inventory_wants_otherwise_by_now_is_not_brought_back_as_it_is_not() -> None:
    (treatment,) = treat(deaths(R1, seen(kill)), Memory(), NOW_S, {D1: "edited, and not applied yet"})
    assert (treatment.remedy, treatment.why) == (Remedy.LEAVE, "edited, and not applied yet")
