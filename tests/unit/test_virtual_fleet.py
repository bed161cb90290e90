"""The virtual fleet: it agrees with the simulation while nobody moves, and a move loses nothing and costs its time."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from pdctl.model.deployment import Slo
from pdctl.model.role import Role
from pdctl.perf.days.fleet import FleetModel, VirtualFleet
from pdctl.perf.days.ratio import Ratio, ratios
from pdctl.perf.days.seen import Seen
from pdctl.perf.layout import InstanceModel, Layout, Policy, TransferModel
from pdctl.perf.simulate import simulate
from pdctl.perf.workload import poisson
from tests.unit.perf_scenes import ROUND

SLO = Slo(2.0, 0.02, 0.95)
MODEL = FleetModel(
    MappingProxyType({role: InstanceModel(role, ROUND, max_seqs=64) for role in Role}), TransferModel(handshake_s=0.01)
)
LOAD = poisson(400, 4.0, 300, 20, seed=3)


def fleet(start: str | None, *, restart_s: float = 30.0, limit: int | None = None) -> VirtualFleet:
    model = FleetModel(MODEL.models, MODEL.transfer, queue_limit=limit)
    return VirtualFleet(model, 4, Ratio.parse(start) if start else None, SLO, restart_s=restart_s)


@pytest.mark.parametrize("start", ["1P3D", "3P1D", None])
def test_without_moves_as_many_are_good_as_the_simulation_says(start: str | None) -> None:
    played = fleet(start).play(LOAD)
    ratio = Ratio.parse(start) if start else None
    roles = [Role.PREFILL] * ratio.prefill + [Role.DECODE] * ratio.decode if ratio else [Role.MIXED] * 4
    run = simulate(Layout(tuple(MODEL.models[role] for role in roles), MODEL.transfer, Policy.LEAST), LOAD)
    good = 0
    for flight in run.flights:
        assert flight.first_s is not None and flight.done_s is not None
        within = flight.first_s - flight.at_s <= SLO.ttft_s
        good += within and (flight.done_s - flight.first_s) / (flight.osl - 1) <= SLO.itl_s
    assert played.attainment == pytest.approx(good / len(run.flights), abs=0.03)


def test_a_moved_instance_serves_the_other_role_after_its_restart_and_nothing_is_lost() -> None:
    seen: list[Seen] = []

    def control(tick: Seen) -> Role | None:
        seen.append(tick)
        return Role.DECODE if len(seen) == 2 else None

    run = fleet("2P2D")
    played = run.play(LOAD, control, every_s=5.0)
    [turned] = played.turned
    assert turned.drained_s is not None and turned.up_s == pytest.approx(turned.drained_s + 30.0)
    assert turned.drained_s >= turned.began_s == 10.0
    assert [tick.ratio for tick in seen if tick.moving] == [Ratio(2, 1)] * sum(1 for tick in seen if tick.moving)
    assert seen[-1].ratio == run.ratio == Ratio(3, 1)
    assert sum(tick.offered for tick in seen) <= len(LOAD.asked)
    assert all(station.load == 0 for station in run.stations), "every request has ended"


def test_the_last_instance_of_a_role_stays() -> None:
    played = fleet("1P3D").play(LOAD, lambda tick: Role.PREFILL, every_s=5.0)
    assert not played.turned


def test_what_a_full_queue_refuses_is_missed() -> None:
    crowd = poisson(300, 40.0, 300, 20, seed=1)
    open_door, closed = fleet("1P3D").play(crowd), fleet("1P3D", limit=5).play(crowd)
    assert open_door.refused == 0
    assert closed.refused > 100
    assert sum(closed.met) <= 300 - closed.refused


def test_splits_are_written_and_read() -> None:
    assert [str(ratio) for ratio in ratios(4)] == ["1P3D", "2P2D", "3P1D"]
    assert Ratio.parse("2p3d") == Ratio(2, 3)
    with pytest.raises(ValueError, match="2P3D"):
        Ratio.parse("5M")
