"""What a move to another split costs, and when it is won back."""

from __future__ import annotations

from pdctl.advisor.payback import payback
from pdctl.advisor.predict import Estimate, Predicted
from pdctl.advisor.split import Fleet, Kind, Split, mixed, split_of
from pdctl.model.role import Role
from pdctl.perf.layout import InstanceModel, TransferModel
from pdctl.perf.step_time import PROFILES
from tests.unit.perf_scenes import equal_roles

FLEET = Fleet((Kind("mi300x", 5, equal_roles(InstanceModel(Role.MIXED, PROFILES["laptop"]))),), TransferModel())


def predicted(split: Split, goodput: float) -> Predicted:
    sure = Estimate(10.0, 0.0)
    return Predicted(split, sure, sure, sure, sure, sure, sure, Estimate(goodput, 0.05))


def scripted(split: Split) -> Predicted:
    """Half a request a second of every instance."""
    return predicted(split, 0.5 * len(split.layout.instances))


def split(prefill: int) -> Split:
    return split_of(FLEET, {"mi300x": prefill})


def test_one_move_is_repaid_after_what_the_missing_instance_would_have_served() -> None:
    found = payback(FLEET, predicted(split(2), 2.5), predicted(split(1), 3.0), scripted, restart_s=290.0)
    assert (found.moves, found.takes_s, found.lost_requests) == (1, 300.0, 150.0)
    assert found.gain_per_s == 0.5
    assert found.after_s == 300.0 + 150.0 / 0.5


def test_several_moves_go_one_after_another() -> None:
    found = payback(FLEET, predicted(split(4), 2.5), predicted(split(2), 3.5), scripted, restart_s=90.0)
    assert (found.moves, found.takes_s, found.lost_requests) == (2, 200.0, 100.0)


def test_a_gain_inside_the_models_error_never_pays() -> None:
    found = payback(FLEET, predicted(split(2), 2.5), predicted(split(1), 2.54), scripted, restart_s=60.0)
    assert found.after_s is None


def test_to_and_from_colocated_serving_is_no_move() -> None:
    assert (
        "router"
        in payback(FLEET, predicted(mixed(FLEET), 1.0), predicted(split(2), 2.0), scripted, restart_s=60.0).refused
    )
