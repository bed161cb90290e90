"""Scores and journals that compare with a peer's: misses by cause, goodput, reversals, settling, columns."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pdctl.bench.figures.journal import journal_lines, meta_line, sample_lines
from pdctl.bench.figures.score import Verdict, goodput_rate, in_flight_at_moves, score, verdict
from pdctl.model.deployment import Slo
from pdctl.model.outcome import Outcome
from pdctl.perf.stations import Moved, following, reversals
from pdctl.perf.walk import Station
from tests.bench_rows import row

SLO = Slo(ttft_s=0.2, itl_s=0.1, attainment=0.9)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Verdict.MET),
        ({"osl": 1, "tokens": 1, "gaps_s": (), "e2el_s": 0.2}, Verdict.MET),
        ({"outcome": Outcome.REFUSED, "tokens": 0}, Verdict.REFUSED),
        ({"outcome": Outcome.CUT}, Verdict.ERROR),
        ({"tokens": 2}, Verdict.SHORT),
        ({"ttft_s": 0.21, "e2el_s": 0.41}, Verdict.TTFT),
        ({"ttft_s": None}, Verdict.TTFT),
        ({"e2el_s": 0.5}, Verdict.TPOT),
        ({"ttft_s": 0.3, "e2el_s": 0.9}, Verdict.BOTH),
    ],
)
def test_a_miss_has_one_cause(changes: dict[str, Any], expected: Verdict) -> None:
    assert verdict(row(**changes), SLO) is expected


def test_refusals_are_misses_of_what_was_offered_and_told_apart_from_what_was_served() -> None:
    seen = score([row(0), row(1), row(2, outcome=Outcome.REFUSED), row(3, outcome=Outcome.ERROR)], SLO)
    assert (seen.offered, seen.met, seen.attainment) == (4, 2, 0.5)
    assert seen.served_attainment == pytest.approx(2 / 3)


def test_goodput_is_the_highest_rate_that_reaches_the_target() -> None:
    assert goodput_rate({0.6: 1.0, 1.0: 0.983, 1.6: 0.712}) == 1.0
    assert goodput_rate({1.0: 0.9}) == 1.0
    assert goodput_rate({1.0: 0.89}) is None


def test_an_engine_that_goes_back_is_a_reversal_and_another_that_follows_is_none() -> None:
    moves = [Moved(1, "e1", "decode"), Moved(2, "e2", "decode"), Moved(3, "e1", "prefill"), Moved(4, "e1", "decode")]
    assert reversals(moves) == 2


def test_a_walk_is_followed_by_settling_and_by_time_on_the_right_split() -> None:
    stations = [Station(0, 100, 4, 2), Station(100, 200, 5, 1), Station(200, 300, 1, 5)]
    splits = [(0.0, (4, 2)), (130.0, (5, 1)), (180.0, (4, 2)), (190.0, (5, 1))]
    moves = [Moved(130.0, "e1", "prefill", 3), Moved(180.0, "e1", "decode", 2), Moved(190.0, "e1", "prefill")]
    seen = following(splits, moves, stations)
    assert [(stay.settled_s, stay.on_station) for stay in seen.stays] == [(0.0, 1.0), (30.0, 0.6), (None, 0.0)]
    assert (seen.moves, seen.reversals, seen.in_flight, seen.never) == (3, 2, 5, 1)
    assert seen.reversals_per_hour == pytest.approx(2 * 12)
    assert seen.on_station == pytest.approx(160 / 300)
    assert seen.settled_s == 15.0


def test_nothing_known_of_a_split_is_never_on_station() -> None:
    seen = following([], [], [Station(0, 10, 1, 1)])
    assert (seen.on_station, seen.settled_s, seen.never) == (0.0, None, 1)


def test_requests_in_flight_at_a_move_are_those_of_its_engine_where_answers_name_them() -> None:
    moves = [Moved(0.1, "e1", "decode"), Moved(0.45, "e1", "decode")]
    named = [row(0, prefill="e1", decode="e2"), row(1, prefill="e3", decode="e4"), row(2, sent_s=0.4, decode="e1")]
    assert in_flight_at_moves(named, moves) == [1, 1]
    assert in_flight_at_moves([row(0), row(1, sent_s=0.05)], moves) == [2, 0]


def test_a_journal_has_the_columns_that_the_peers_tools_read() -> None:
    rows = [
        row(1, sent_s=1.0, prefill="e1", decode="e2", attempts=2),
        row(0, outcome=Outcome.REFUSED, status=429, tokens=0, ttft_s=None, gaps_s=(), refusal="queue"),
    ]
    head, first, second = map(json.loads, [meta_line("0.1.0", "abc"), *journal_lines(rows, "run-1")])
    assert head == {"meta": {"package": "pdctl", "version": "0.1.0", "git": "abc"}}
    assert (first["rid"], first["refused"], first["refused_cause"], first["error"]) == ("r0", True, "queue", "queue")
    assert list(second) == [
        *("run", "rid", "client_rid", "arrived", "wanted_len", "input_len", "output_len", "ttft_s", "tpot_s", "error"),
        *("first_byte_s", "prefill_iid", "decode_iid", "crossed", "attempts", "tenant"),
    ]
    assert (second["arrived"], second["wanted_len"], second["output_len"], second["error"]) == (1.0, 3, 3, None)
    assert (second["crossed"], second["attempts"]) == (True, [None, "e2"])
    assert second["tpot_s"] == pytest.approx(0.1)


def test_samples_name_a_request_by_its_place_in_the_trace() -> None:
    (said,) = map(json.loads, sample_lines([row(7)], 0.8))
    assert (said["rid"], said["rate"], said["wanted_len"], said["output_len"]) == ("b7", 0.8, 3, 3)
