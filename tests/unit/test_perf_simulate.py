"""The simulation of layouts: what single requests must see by arithmetic, and what must hold for every workload."""

from __future__ import annotations

import pytest

from pdctl.model.role import TransferMode
from pdctl.perf.layout import Placement
from pdctl.perf.simulate import simulate
from pdctl.perf.step_time import StepConstants
from pdctl.perf.workload import poisson
from tests.unit.perf_scenes import ROUND, mixed, offered, split


def test_one_request_on_a_mixed_engine_takes_its_prefill_and_then_a_step_a_token() -> None:
    flight = simulate(mixed(), offered((2.0, 200, 11))).flights[0]
    assert flight.first_s == pytest.approx(2.0 + 0.1 + 0.2)
    assert flight.done_s == pytest.approx(2.3 + 10 * 0.011)


def test_of_one_token_is_done_with_its_prefill() -> None:
    flight = simulate(mixed(), offered((0.0, 100, 1))).flights[0]
    assert flight.first_s == flight.done_s == pytest.approx(0.2)


def test_on_a_pair_the_first_token_comes_one_decode_step_after_its_kv() -> None:
    flight = simulate(split(1, 1), offered((0.0, 200, 11))).flights[0]
    assert flight.prefilled_s == pytest.approx(0.3)
    assert flight.first_s == pytest.approx(0.3 + 0.010 + 0.011)
    assert flight.done_s == pytest.approx(0.3 + 0.010 + 11 * 0.011)


def test_read_waits_for_the_proxy_and_all_bytes_where_write_overlaps_them() -> None:
    def first_s(mode: TransferMode) -> float:
        found = simulate(split(1, 1, mode=mode), offered((0.0, 200, 2))).flights[0].first_s
        assert found is not None
        return found

    assert first_s(TransferMode.READ) - first_s(TransferMode.WRITE) == pytest.approx(0.005 + 200e3 / 1e6)


def test_a_prompt_stalls_who_decodes_on_a_mixed_engine_and_not_on_a_pair() -> None:
    load = offered((0.0, 10, 400), (1.0, 1000, 2))
    stalled = simulate(mixed(), load)
    assert max(gap_s for gap_s, _ in stalled.gaps_s(stalled.flights[0])) > 1.0
    apart = simulate(split(1, 1), load)
    assert max(gap_s for gap_s, _ in apart.gaps_s(apart.flights[0])) == pytest.approx(0.012)


def test_a_prompt_longer_than_the_chunk_takes_more_steps() -> None:
    flight = simulate(mixed(chunk_tokens=64), offered((0.0, 130, 1))).flights[0]
    assert flight.first_s == pytest.approx(3 * 0.1 + 0.130)


def test_the_longest_prompt_of_the_ranks_counts_not_their_sum() -> None:
    alone = simulate(mixed(ranks=8), offered((0.0, 1000, 1))).flights[0].done_s
    eight = simulate(mixed(ranks=8), offered(*[(0.0, 1000, 1)] * 8))
    assert alone is not None
    # The first begins at once; the seven that come in the same moment share one more step.
    assert max(flight.done_s or 0.0 for flight in eight.flights) == pytest.approx(2 * alone)


def test_who_finds_no_room_for_its_kv_waits_until_somebody_leaves() -> None:
    run = simulate(split(1, 1, kv_tokens=250), offered((0.0, 100, 100), (0.0, 100, 100)))
    first, second = run.flights
    assert first.done_s is not None
    assert second.first_s == pytest.approx(first.done_s + 0.011)


def test_no_more_sequences_decode_than_seats_are_there() -> None:
    run = simulate(split(1, 1, max_seqs=1), offered(*[(0.0, 10, 50)] * 3))
    done = sorted(flight.done_s or 0.0 for flight in run.flights)
    assert done[2] - done[1] == pytest.approx(50 * 0.011)


def test_at_most_so_many_are_in_flight_and_latency_counts_from_sending() -> None:
    run = simulate(mixed(2), offered(*[(0.0, 100, 10)] * 9, concurrency=3))
    spans = [(flight.sent_s, flight.done_s or 0.0) for flight in run.flights]
    for sent_s, _ in spans:
        assert sum(1 for begin, end in spans if begin <= sent_s < end) <= 3
    assert spans[-1][0] > 0.0


def test_requests_go_round_the_instances() -> None:
    alone = simulate(mixed(1), offered((0.0, 500, 1))).flights[0].done_s
    run = simulate(mixed(3), offered(*[(0.0, 500, 1)] * 3))
    assert [flight.done_s for flight in run.flights] == [alone] * 3


def test_a_long_context_slows_the_step() -> None:
    slow = StepConstants(10e-3, 0.0, 1e-5, 0.1, 1e-3, 0.0, 0.0)
    run = simulate(mixed(constants=slow), offered((0.0, 1000, 101)))
    flight = run.flights[0]
    assert flight.first_s is not None
    expected_s = sum(10e-3 + 1e-5 * (1001 + step) for step in range(100))
    assert flight.done_s == pytest.approx(flight.first_s + expected_s)


def test_the_same_seed_gives_the_same_and_another_another() -> None:
    load = poisson(40, 5.0, 300, 60, seed=3)
    layout = mixed(2, ranks=4, placement=Placement.RANDOM)
    one, same, other = (simulate(layout, load, seed=seed) for seed in (1, 1, 2))
    assert [each.done_s for each in one.flights] == [each.done_s for each in same.flights]
    assert [each.done_s for each in one.flights] != [each.done_s for each in other.flights]


def test_the_quantile_of_gaps_is_between_their_extremes() -> None:
    run = simulate(mixed(), offered((0.0, 10, 100), (0.5, 1000, 100)))
    assert run.itl_quantile_s(0.5) == pytest.approx(0.012, abs=0.002)
    assert run.itl_quantile_s(1.0) > 1.0
    assert ROUND.decode_s < run.itl_quantile_s(0.0) < 0.02
