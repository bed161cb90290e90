"""Rows of requests -> figures: rates, latencies, goodput, and what makes them doubtful."""

from __future__ import annotations

import dataclasses

import pytest

from pdctl.bench.figures.figures import Criterion
from pdctl.bench.figures.in_flight import lags_s, mean_in_flight, peak_in_flight
from pdctl.bench.figures.measure import figures
from pdctl.bench.figures.verdict import met
from pdctl.model.deployment import Slo
from pdctl.model.outcome import Outcome
from tests.bench_rows import row

SLO = Slo(ttft_s=0.2, itl_s=0.1, attainment=0.95)


def test_two_requests_one_after_the_other_give_the_figures_of_a_pencil() -> None:
    rows = [row(0), row(1, at_s=0.0, sent_s=0.4, ttft_s=0.4, e2el_s=0.6)]
    seen = figures(rows, 2.0, slo=SLO, gpus=4, usd_per_hour=20.0)
    assert (seen.tokens_in, seen.tokens_out) == (16, 6)
    assert (seen.requests_per_s, seen.tps_in, seen.tps_out, seen.tps_total) == (1.0, 8.0, 3.0, 11.0)
    assert seen.ttft is not None and seen.itl is not None and seen.tpot is not None and seen.e2el is not None
    assert (seen.ttft.median_s, seen.ttft.p90_s) == pytest.approx((0.3, 0.38))
    assert (seen.itl.count, seen.tpot.count) == (4, 2)
    assert seen.e2el.p99_s == pytest.approx(0.598)
    assert seen.in_flight_mean == pytest.approx(0.5) and seen.in_flight_peak == 1
    assert seen.tpsu == pytest.approx(6.0) and seen.tpsg == 0.75
    assert seen.tokens_per_usd == pytest.approx(11.0 * 180)
    assert seen.goodput is not None
    assert (seen.goodput.met, seen.goodput.offered, seen.goodput.attainment) == (1, 2, 0.5)
    assert (seen.goodput.requests_per_s, seen.goodput.tokens_per_s) == (0.5, 1.5)


def test_latencies_from_when_a_request_was_due_hold_the_wait_at_the_client() -> None:
    rows = [row(0, at_s=0.0, sent_s=5.0)]
    due = figures(rows, 6.0, slo=SLO, counted_from="due")
    sent = figures(rows, 6.0, slo=SLO)
    assert due.ttft is not None and due.e2el is not None and due.goodput is not None
    assert (due.ttft.median_s, due.e2el.median_s) == pytest.approx((5.2, 5.4))
    assert due.goodput.met == 0
    assert sent.goodput is not None and sent.goodput.met == 1
    assert due.queued == sent.queued and due.queued is not None and due.queued.median_s == 5.0


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome.failed])
def test_a_failed_request_is_a_miss_and_gives_no_tokens(outcome: Outcome) -> None:
    seen = figures([row(0), row(1, outcome=outcome)], 1.0, slo=SLO)
    assert seen.goodput is not None and seen.goodput.attainment == 0.5
    assert (seen.counts.failed, seen.tokens_out) == (1, 3)
    assert "1 of 2 requests failed" in seen.warnings[0]


def test_one_stall_in_ten_gaps_fails_p99_itl_and_not_tpot() -> None:
    stalled = row(tokens=11, osl=11, gaps_s=(0.01,) * 9 + (0.5,), e2el_s=0.79)
    assert not met(stalled, SLO, Criterion.P99_ITL)
    assert met(stalled, SLO, Criterion.TPOT)


def test_one_stall_in_a_thousand_gaps_is_within_p99_itl() -> None:
    assert met(row(gaps_s=(0.01,) * 999 + (0.5,), tokens=1001), SLO)
    assert not met(row(gaps_s=(0.01,) * 979 + (0.5,) * 21, tokens=1001), SLO)


def test_an_answer_of_one_token_has_no_gap_and_meets_the_itl_target() -> None:
    single = row(osl=1, tokens=1, gaps_s=(), e2el_s=0.2)
    assert met(single, SLO, Criterion.P99_ITL) and met(single, SLO, Criterion.TPOT)
    assert figures([single], 1.0).itl is None


def test_an_answer_that_was_not_streamed_cannot_meet_a_ttft_target() -> None:
    seen = figures([row(ttft_s=None, gaps_s=(), streamed=False)], 1.0, slo=SLO)
    assert seen.goodput is not None and seen.goodput.met == 0
    assert any("not streamed" in line for line in seen.warnings)


def test_events_of_many_tokens_are_warned_of_because_gaps_are_then_not_those_of_tokens() -> None:
    bundled = row(tokens=57, osl=57, gaps_s=(0.65, 0.65), ttft_s=0.1, e2el_s=1.4)
    said = figures([bundled], 2.0, slo=SLO).warnings
    assert any("28.0 x mean TPOT" in line and "judge by TPOT" in line for line in said)
    assert not any("TPOT" in line for line in figures([row()], 1.0, slo=SLO).warnings)


def test_lengths_other_than_wanted_are_told_apart_for_prompts_and_answers() -> None:
    said = figures([row(0, tokens=2), row(1, prompt_tokens=9), row(2, prompt_tokens=8)], 1.0).warnings
    assert any(line.startswith("1 of 3 answers") for line in said)
    assert any(line.startswith("1 of 2 prompts") and "17 tokens for 16" in line for line in said)


def test_no_rows_are_no_figures_and_not_an_error() -> None:
    seen = figures([], 0.0, slo=SLO, gpus=8, usd_per_hour=1.0)
    assert (seen.ttft, seen.tpsu, seen.requests_per_s) == (None, None, 0.0)
    assert seen.goodput is not None and seen.goodput.attainment == 0.0
    assert seen.warnings == ("no request was sent",)


def test_a_wait_for_a_place_is_no_lag_of_the_client() -> None:
    closed = [row(index, at_s=0.0, sent_s=0.4 * (index // 2)) for index in range(200)]
    assert peak_in_flight(closed) == 2
    assert max(lags_s(closed)) == pytest.approx(0.0, abs=1e-9)
    assert figures(closed, 40.0).warnings == ()


def test_a_client_that_sends_late_is_warned_of() -> None:
    late = [row(index, at_s=index * 0.1, sent_s=index * 0.1 + 0.08) for index in range(200)]
    assert any("sent late: p99 80 ms" in line for line in figures(late, 21.0).warnings)


def test_the_pause_after_a_refusal_is_no_lag_of_the_client() -> None:
    refused = [row(n, outcome=Outcome.REFUSED, at_s=0.0, sent_s=0.1 * (n // 2), e2el_s=0.0) for n in range(200)]
    assert max(lags_s(refused)) == pytest.approx(0.0, abs=1e-9)


def test_in_flight_counts_failed_requests_too() -> None:
    rows = [row(0), row(1, outcome=Outcome.CUT, sent_s=0.2), row(2, sent_s=0.4)]
    assert peak_in_flight(rows) == 2
    assert mean_in_flight(rows, 1.2) == pytest.approx(1.0)


def test_order_of_rows_does_not_matter() -> None:
    rows = [row(index, sent_s=index * 0.3, at_s=index * 0.25) for index in range(9)]
    assert figures(rows[::-1], 3.0, slo=SLO) == figures(rows, 3.0, slo=SLO)


def test_figures_are_plain_data() -> None:
    assert dataclasses.asdict(figures([row()], 1.0, slo=SLO))["goodput"]["criterion"] == "p99-itl"
