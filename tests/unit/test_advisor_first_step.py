"""The way to another split begins with the slot that hurts least to take."""

from __future__ import annotations

from dataclasses import replace

from pdctl.advisor.advise import goal_of
from pdctl.advisor.first_step import Step, as_seen, donor_slot, first_step
from pdctl.advisor.rank import Objective, ranked
from pdctl.advisor.split import Fleet, Kind, mixed, split_of
from pdctl.model.role import Role
from pdctl.perf.layout import InstanceModel, TransferModel
from pdctl.perf.step_time import PROFILES
from tests.tui.fleet import snapshot
from tests.unit.deployments import r1_2p3d
from tests.unit.perf_scenes import equal_roles
from tests.unit.test_advisor_rank import ERROR, predicted

ROLES = equal_roles(InstanceModel(Role.MIXED, PROFILES["r1-mi300x-ep8"], ranks=8))
BOTH = Fleet((Kind("mi300x", 3, ROLES), Kind("mi355x", 2, ROLES)), TransferModel())


def test_the_first_step_leaves_decode_where_both_kinds_change() -> None:
    now = split_of(BOTH, {"mi300x": 2, "mi355x": 0})
    assert first_step(now, split_of(BOTH, {"mi300x": 3, "mi355x": 0})) == Step("mi300x", Role.DECODE)
    assert first_step(now, split_of(BOTH, {"mi300x": 1, "mi355x": 1})) == Step("mi355x", Role.DECODE)
    assert first_step(now, split_of(BOTH, {"mi300x": 1, "mi355x": 0})) == Step("mi300x", Role.PREFILL)
    assert first_step(now, now) is None
    assert first_step(now, mixed(BOTH)) is None


def test_the_routers_node_gives_last_and_what_is_held_not_at_all() -> None:
    deployment = r1_2p3d()
    decodes = [slot.id for slot in deployment.slots if slot.pool == "decode"]
    deployment = replace(deployment, router=replace(deployment.router, node=decodes[0].split(".")[0]))
    for held, given in ((), decodes[1]), (decodes[1:2], decodes[2]), (decodes[1:], decodes[0]):
        slot = donor_slot(deployment, Role.DECODE, None, held)
        assert slot is not None
        assert slot.id == given
    assert donor_slot(deployment, Role.DECODE, None, decodes) is None
    assert donor_slot(deployment, Role.DECODE, None, (), "mi355x") is None


def test_slots_are_in_the_pools_where_they_were_seen() -> None:
    deployment = r1_2p3d()
    slots = tuple(replace(slot, node=f"n{place:02}", name="main") for place, slot in enumerate(deployment.slots, 1))
    deployment = replace(deployment, slots=slots)
    seen = as_seen(deployment, snapshot(3, 1))
    assert [slot.pool for slot in seen.slots] == ["prefill", "prefill", "prefill", "decode", "decode"]


def test_of_splits_that_cannot_be_told_apart_the_nearest_is_the_goal() -> None:
    far, near, here = predicted("4P1D", 1.0, 1.0), predicted("3P2D", 1.01, 1.0), predicted("2P3D", 2.0, 0.5)
    ranking = ranked((far, near, here), ERROR, Objective.GOODPUT)
    assert (ranking.best, ranking.close) == (far, ("3P2D",))
    assert goal_of(ranking, here) is near
    assert goal_of(ranking, near) is near
    assert goal_of(ranking, None) is far
