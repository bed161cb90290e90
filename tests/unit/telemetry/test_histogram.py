"""Quantiles are intervals that hold the truth, whatever the events were."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdctl.model.deployment import Slo
from pdctl.model.figure import Figure
from pdctl.model.reading import Unknown
from pdctl.model.role import TransferMode
from pdctl.telemetry.client_view import added_quantile, client_view
from pdctl.telemetry.histogram import Histogram, merge
from pdctl.telemetry.meter import Tally

BOUNDS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, math.inf)
events = st.lists(st.floats(0.0, 20.0, allow_nan=False), min_size=1, max_size=60)


def of(values: list[float], bounds: tuple[float, ...] = BOUNDS) -> Histogram:
    counts = tuple(float(sum(value <= bound for value in values)) for bound in bounds)
    return Histogram(bounds, counts, sum(values), float(len(values)))


def quantile(values: list[float], share: float) -> tuple[float, float]:
    """The smallest and the largest answer that usual definitions give."""
    ordered = sorted(values)
    rank = share * (len(ordered) - 1)
    return ordered[math.floor(rank + 1e-9)], ordered[math.ceil(rank - 1e-9)]


@given(events, st.sampled_from([0.0, 0.5, 0.9, 0.99, 1.0]))
def test_the_true_quantile_lies_in_the_interval(values: list[float], share: float) -> None:
    interval = of(values).quantile(share)
    assert interval is not None
    low, high = quantile(values, share)
    assert interval[0] <= low <= high <= interval[1]


@given(events, st.floats(0.0, 20.0))
def test_the_true_share_lies_in_the_interval(values: list[float], limit: float) -> None:
    bounds = of(values).share_within(limit)
    assert bounds is not None
    share = sum(value <= limit for value in values) / len(values)
    assert bounds[0] - 1e-9 <= share <= bounds[1] + 1e-9


@given(st.lists(st.tuples(st.floats(0.0, 9.0), st.floats(0.0, 9.0)), min_size=1, max_size=60))
def test_the_quantile_of_a_sum_lies_in_its_bounds_however_the_two_depend(pairs: list[tuple[float, float]]) -> None:
    first, last = of([one for one, _ in pairs]), of([other for _, other in pairs])
    for share in (0.5, 0.9, 0.99):
        low, high = added_quantile(first, last, share)
        truth = quantile([one + other for one, other in pairs], share)
        assert low - 1e-9 <= truth[0]
        assert truth[1] <= high + 1e-9


def test_an_empty_window_has_no_quantile_and_no_mean() -> None:
    latency = of([]).latency(age_s=0.0)
    assert isinstance(latency.p99, Unknown)
    assert isinstance(latency.mean, Unknown)
    assert latency.count == Figure.exact(0.0, 0.0)


def test_different_buckets_are_merged_over_the_bounds_that_all_have() -> None:
    merged = merge([of([0.02, 0.3]), of([0.02, 0.3], (0.05, 0.2, 0.5, math.inf))])
    assert merged is not None
    assert merged.bounds == (0.05, 0.5, math.inf)
    assert merged.counts == (2.0, 4.0, 4.0)
    assert merged.total == pytest.approx(0.64)


def test_a_read_mode_client_waits_for_prefill_and_then_for_decode() -> None:
    first, last = [0.04] * 50 + [0.4] * 50, [0.02] * 100
    view = client_view(
        Tally(10.0, {}, {"ttft": of(first)}),
        Tally(10.0, {}, {"ttft": of(last), "itl": of([0.03] * 99 + [3.0])}),
        TransferMode.READ,
        Slo(0.5, 0.05, 0.95),
        age_s=1.0,
    )
    truth = [one + other for one, other in zip(first, last, strict=True)]
    assert isinstance(view.ttft.mean, Figure)
    assert view.ttft.mean.low == pytest.approx(statistics.mean(truth))
    assert view.ttft.mean.basis == "estimated"
    assert isinstance(view.ttft.p99, Figure)
    assert view.ttft.p99.low <= 0.42 <= view.ttft.p99.high
    assert isinstance(view.attainment.ttft, Figure)
    assert view.attainment.ttft.low <= 1.0 <= view.attainment.ttft.high
    assert isinstance(view.attainment.itl, Figure)
    assert view.attainment.itl.low == pytest.approx(0.99)
    assert isinstance(view.attainment.both, Figure)
    assert view.attainment.both.high <= 0.99


def test_a_read_mode_clients_whole_time_has_both_legs_in_it() -> None:
    """The decode engine hears of the request when prefill has answered: its own E2E is not the client's."""
    view = client_view(
        Tally(10.0, {}, {"ttft": of([0.4] * 100)}),
        Tally(10.0, {}, {"ttft": of([0.02] * 100), "e2e": of([0.3] * 100), "itl": of([0.03] * 100)}),
        TransferMode.READ,
        Slo(0.5, 0.05, 0.95),
        age_s=1.0,
    )
    assert isinstance(view.e2e.mean, Figure)
    assert view.e2e.mean.low == pytest.approx(0.7)
    assert isinstance(view.e2e.p50, Figure)
    assert view.e2e.p50.low <= 0.7 <= view.e2e.p50.high


def test_client_intervals_leave_room_for_the_router_and_say_so() -> None:
    """An engine's time just under a bucket's bound is a client's just over it."""
    decode = Tally(10.0, {}, {"ttft": of([0.499] * 100), "e2e": of([0.499] * 100), "itl": of([0.0499] * 100)})
    view = client_view(None, decode, TransferMode.WRITE, Slo(0.5, 0.05, 0.95), age_s=1.0)
    for latency, truth_s, what in (
        (view.ttft, 0.51, "router"),
        (view.e2e, 0.51, "router"),
        (view.itl, 0.052, "jitter"),
    ):
        for figure in (latency.p50, latency.p90, latency.p99):
            assert isinstance(figure, Figure)
            assert figure.low <= truth_s <= figure.high
            assert what in figure.note
            assert figure.basis == "estimated"
        assert isinstance(latency.mean, Figure)
        assert "room" not in latency.mean.note
