"""Splits of a fleet under a workload: which come first, and which cannot be told apart."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pdctl.advisor.predict import Estimate, Predicted
from pdctl.advisor.rank import Objective, rank, ranked
from pdctl.advisor.split import Fleet, Kind, mixed, split_of, splits
from pdctl.model.deployment import Slo
from pdctl.model.role import Role
from pdctl.perf.layout import InstanceModel, TransferModel
from pdctl.perf.profile import ModelError
from pdctl.perf.step_time import PROFILES
from pdctl.perf.workload import poisson
from tests.unit.perf_scenes import equal_roles

ERROR = ModelError(e2el=0.03, tokens_per_s=0.03, itl_p99=0.06, ratio=0.03, attainment=0.06)
NODE = InstanceModel(Role.MIXED, PROFILES["r1-mi300x-ep8"], ranks=8)


def fleet(count: int = 5, *, decode_floor: int = 1) -> Fleet:
    return Fleet((Kind("mi300x", count, equal_roles(NODE)),), TransferModel(), decode_floor=decode_floor)


def test_every_split_above_the_floors_and_the_colocated_one() -> None:
    assert [split.words for split in splits(fleet())] == ["1P4D", "2P3D", "3P2D", "4P1D", "5M"]
    assert [split.words for split in splits(fleet(decode_floor=2))] == ["1P4D", "2P3D", "3P2D", "5M"]
    assert [split.words for split in splits(fleet(1))] == ["1M"]


def test_a_mixed_fleet_tells_which_kind_does_what() -> None:
    quick = replace(NODE, constants=replace(NODE.constants, prefill_per_token_s=NODE.constants.prefill_per_token_s / 4))
    both = Fleet((Kind("mi300x", 3, equal_roles(NODE)), Kind("mi355x", 2, equal_roles(quick))), TransferModel())
    words = [split.words for split in splits(both)[:-1]]
    assert "2P3D (P: 2 mi355x; D: 3 mi300x)" in words
    assert len(words) == len(set(words)) == 4 * 3 - 2


def test_prompts_heavy_traffic_wants_more_prefill_than_answers_heavy_traffic() -> None:
    slo = Slo(10.0, 0.15, 0.95)
    heavy = rank(fleet(), [poisson(200, 1.3, 8192, 1024)], slo, ERROR, objective=Objective.GOODPUT)
    light = rank(fleet(), [poisson(200, 1.3, 1024, 4096)], slo, ERROR, objective=Objective.LATENCY)
    reading = [
        len([i for i in found.best.split.layout.instances if i.role is Role.PREFILL]) for found in (heavy, light)
    ]
    assert reading[0] > reading[1] == 1
    assert not heavy.best.split.colocated
    assert heavy.order[-1].attainment.value <= heavy.best.attainment.value


def predicted(words: str, e2el_s: float, attainment: float) -> Predicted:
    split = (
        mixed(fleet(2)) if words == "2M" else split_of(fleet(int(words[0]) + int(words[2])), {"mi300x": int(words[0])})
    )
    sure = Estimate(1.0, 0.0)
    return Predicted(
        split, sure, sure, sure, Estimate(e2el_s, 0.0), Estimate(100 / e2el_s, 0.0), Estimate(attainment, 0.0), sure
    )


@pytest.mark.parametrize("objective", list(Objective))
def test_within_the_models_error_it_is_too_close_to_call(objective: Objective) -> None:
    found = [predicted("1P1D", 10.0, 0.9), predicted("1P2D", 10.2, 0.93), predicted("2P1D", 11.0, 0.9)]
    ranking = ranked(found, ERROR, objective)
    assert [each.split.words for each in ranking.order] == ["1P1D", "1P2D", "2P1D"]
    assert ranking.close == ("1P2D",)


def test_who_attains_more_than_the_error_wins_whatever_its_latency() -> None:
    ranking = ranked([predicted("1P1D", 10.0, 0.5), predicted("1P2D", 30.0, 0.9)], ERROR, Objective.GOODPUT)
    assert ranking.best.split.words == "1P2D"
    assert ranking.close == ()
