"""How long a run will take."""

from __future__ import annotations

from dataclasses import replace

from pdctl.bench.runs.estimate import Pace, eta_s, least_s, run_eta_s
from tests.unit.bench_runs import point

OPEN = point(11, gap_s=1.0, concurrency=None)  # the last one is offered at 10 s
CLOSED = point(100, concurrency=4)


def test_arrivals_need_their_time_however_fast_the_server_is() -> None:
    assert least_s(OPEN) == 10.0
    assert eta_s(OPEN, ended=4, elapsed_s=4.0) == 6.0


def test_a_closed_loop_goes_on_as_fast_as_it_did() -> None:
    assert least_s(CLOSED) is None
    assert eta_s(CLOSED, ended=2, elapsed_s=1.0) is None
    assert eta_s(CLOSED, ended=20, elapsed_s=10.0) == 40.0


def test_arrivals_that_are_over_say_nothing_of_a_server_that_has_not_answered() -> None:
    assert eta_s(OPEN, ended=0, elapsed_s=30.0) is None


def test_a_duration_is_what_it_is() -> None:
    timed = replace(CLOSED, duration_s=60.0)
    assert eta_s(timed, ended=50, elapsed_s=45.0) == 15.0


def test_later_points_are_expected_at_the_pace_of_their_scenario() -> None:
    assert run_eta_s(5.0, [(CLOSED, Pace(0.4)), (OPEN, None)]) == 5.0 + 10.0 + 10.0
    assert run_eta_s(5.0, [(CLOSED, None)]) is None
