"""The rebalancing policy: when it moves, when it holds and why; and days on which it must not lose."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pdctl.advisor.day.arms import DayTable
from pdctl.advisor.observation import Observation
from pdctl.advisor.policy import Action, Decision, Rebalancer, Settings
from pdctl.model.role import Role
from pdctl.perf.closed_form import ClosedForm
from pdctl.perf.days.ratio import Ratio
from pdctl.perf.days.scenes import SCENES, WALK_ENGINE
from pdctl.perf.walk import SLO

CLOSED = ClosedForm.of(WALK_ENGINE, SLO)
CALM = Observation(0.0, 15.0, Ratio(3, 3), 30, 14000.0, 30, 80.0, 1.0, 1.0, 2.0, 6.0)
"""2 requests a second of 80 tokens: what 3P3D suits."""
FLOOD = replace(CALM, offered=57, finished=57, osl=3.0, ttft_met=0.3, reading=60.0, writing=1.0)
"""3.8 a second of 3 tokens: 5P1D's."""


def feed(policy: Rebalancer, *ticks: tuple[Observation, int]) -> list[Decision]:
    at_s, decisions = 0.0, []
    for tick, times in ticks:
        for _ in range(times):
            at_s += tick.over_s
            decisions.append(policy.tick(replace(tick, at_s=at_s)))
    return decisions


def moves(decisions: list[Decision]) -> list[Decision]:
    return [one for one in decisions if one.action is Action.MOVE]


def test_traffic_that_the_split_suits_moves_nothing() -> None:
    assert not moves(feed(Rebalancer(CLOSED), (CALM, 200)))


def test_a_flood_of_prompts_takes_an_instance_from_decode_and_says_why() -> None:
    first = moves(feed(Rebalancer(CLOSED, Settings(restart_s=120)), (CALM, 120), (FLOOD, 30)))[0]
    assert first.donor is Role.DECODE
    assert "prefill of 3P3D is at" in first.reason
    assert first.numbers["rate_per_s"] == pytest.approx(3.8, rel=0.05)
    assert 120 * 15 < first.at_s <= 128 * 15, "within two minutes"


def test_a_burst_that_is_shorter_than_a_move_moves_nothing() -> None:
    bursts = [(CALM, 80), (FLOOD, 4)] * 6
    assert not moves(feed(Rebalancer(CLOSED, Settings(restart_s=600)), *bursts, (CALM, 20)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stale": ("the router's requests",)}, "too old: the router's requests"),
        ({"held": "somebody else is at work"}, "somebody else"),
        ({"moving": Role.PREFILL}, "on its way"),
        ({"fixed_decode": 3}, "pinned or held"),
    ],
)
def test_it_holds_and_names_the_reason(change: dict[str, object], words: str) -> None:
    held = replace(FLOOD, **change)  # type: ignore[arg-type]
    decisions = feed(Rebalancer(CLOSED, Settings(restart_s=120)), (CALM, 120), (held, 30))
    assert not moves(decisions)
    assert any(words in one.reason for one in decisions)


def test_floors_are_kept() -> None:
    settings = Settings(restart_s=0, decode_floor=3)
    assert not moves(feed(Rebalancer(CLOSED, settings), (CALM, 120), (FLOOD, 60)))


@pytest.mark.parametrize("restart_s", [pytest.param(120.0, marks=pytest.mark.slow), 300.0])
def test_on_the_walk_costly_moves_still_beat_every_fleet_that_does_not_move(restart_s: float) -> None:
    table = DayTable(SCENES["walk"](7, None, 1.0), restart_s)
    arm = table.policy(table.best_fixed)
    assert arm.attainment > max(one.attainment for one in table.all_fixed())


def test_on_the_walk_free_moves_beat_greedy_ones_without_thrashing() -> None:
    table = DayTable(SCENES["walk"](11, None, 1.0), 0.0)
    arm, greedy = table.policy(Ratio(4, 2)), table.greedy(Ratio(4, 2))
    assert arm.attainment > greedy.attainment
    assert arm.reversals_per_h <= 10


@pytest.mark.slow
@pytest.mark.parametrize(("day", "share"), [("smooth", 0.98), ("bursts", 0.98), ("alternation", 0.97)])
def test_a_day_of_five_nodes_is_near_the_best_there_is(day: str, share: float) -> None:
    table = DayTable(SCENES[day](5, None, 1.0), 300.0)
    arm = table.policy(table.best_fixed)
    best = table.fixed(table.best_fixed) if day == "alternation" else table.oracle()
    assert arm.attainment >= share * best.attainment
    assert arm.moves <= 6
