"""KV capacity: no published row tells it, so these hold only what any engine must do."""

from __future__ import annotations

import itertools

import pytest

from pdctl.perf.layout import Layout
from pdctl.perf.outcome import figures
from pdctl.perf.simulate import simulate
from pdctl.perf.workload import poisson
from tests.unit.perf_scenes import mixed, split

ISL, OSL = 100, 60
LOAD = poisson(60, 50.0, ISL, OSL, seed=3)
ROOMS = (160, 320, 800, 1600, 16_000, None)


def layout(kind: str, room: int | None) -> Layout:
    return mixed(kv_tokens=room) if kind == "mixed" else split(1, 1, kv_tokens=room)


@pytest.mark.parametrize("kind", ["mixed", "split"])
def test_with_less_room_all_of_it_takes_longer(kind: str) -> None:
    """All of it, not the median request: few at once decode faster, so that half of them may end sooner."""
    durations = [figures(simulate(layout(kind, room), LOAD)).duration_s for room in ROOMS]
    assert all(less >= more - 1e-9 for less, more in itertools.pairwise(durations))
    assert durations[0] > 2 * durations[-1]


@pytest.mark.parametrize("kind", ["mixed", "split"])
@pytest.mark.parametrize("room", [160, 320, 800])
def test_no_more_decode_at_once_than_have_room(kind: str, room: int) -> None:
    run = simulate(layout(kind, room), LOAD)
    assert all(flight.done_s is not None for flight in run.flights)
    spans = [(flight.first_s or 0.0, flight.done_s or 0.0) for flight in run.flights]
    most = max(sum(1 for begin, end in spans if begin <= at < end - 1e-9) for at, _ in spans)
    assert most <= room // (ISL + OSL)


def test_room_for_all_is_as_good_as_no_limit() -> None:
    enough = len(LOAD.asked) * (ISL + OSL)
    assert figures(simulate(layout("mixed", enough), LOAD)) == figures(simulate(layout("mixed", None), LOAD))


def test_who_needs_more_than_there_is_runs_alone_and_all_end() -> None:
    """The model has no refusal: an engine would not start with such a `max-model-len`."""
    run = simulate(layout("mixed", ISL // 2), LOAD)
    assert all(flight.done_s is not None for flight in run.flights)
