"""Figures of any rows: shares are shares, no row's place matters, nothing is counted that is not there."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdctl.bench.figures.figures import Criterion
from pdctl.bench.figures.in_flight import lags_s
from pdctl.bench.figures.measure import figures
from pdctl.bench.figures.verdict import CountedFrom
from pdctl.bench.row import Row
from pdctl.model.deployment import Slo
from pdctl.model.outcome import Outcome

SLO = Slo(ttft_s=0.5, itl_s=0.05, attainment=0.9)
seconds = st.floats(0.0, 10.0)
rows = st.lists(
    st.builds(
        Row,
        index=st.integers(0, 99),
        request_id=st.just("r"),
        at_s=seconds,
        sent_s=seconds,
        isl=st.integers(1, 9),
        osl=st.integers(1, 9),
        outcome=st.sampled_from(Outcome),
        ttft_s=st.none() | seconds,
        e2el_s=seconds,
        gaps_s=st.lists(seconds, max_size=5).map(tuple),
        tokens=st.integers(0, 9),
        prompt_tokens=st.none() | st.integers(0, 9),
    ).map(lambda row: replace(row, sent_s=row.at_s + row.sent_s)),
    max_size=12,
)


SIDES: list[CountedFrom] = ["sent", "due"]


@given(rows, st.just(0.0) | st.floats(1e-3, 30.0), st.sampled_from(Criterion), st.sampled_from(SIDES), st.randoms())
def test_shares_are_shares_and_order_does_not_matter(
    seen: list[Row], took_s: float, criterion: Criterion, side: CountedFrom, dice: random.Random
) -> None:
    measure = partial(figures, slo=SLO, criterion=criterion, gpus=2, usd_per_hour=3.0, counted_from=side)
    found = measure(seen, took_s)
    assert found.goodput is not None
    assert 0 <= found.goodput.attainment <= 1
    assert found.goodput.met <= found.counts.ok <= found.counts.total == found.goodput.offered == len(seen)
    assert bool(seen) <= found.in_flight_peak <= len(seen)
    assert found.tps_total == pytest.approx(found.tps_in + found.tps_out)
    assert all(lag >= 0 for lag in lags_s(seen))
    assert measure(dice.sample(seen, len(seen)), took_s) == found


@given(rows)
def test_waiting_at_the_client_only_ever_costs_attainment(seen: list[Row]) -> None:
    sent, due = (figures(seen, 10.0, slo=SLO, counted_from=side).goodput for side in SIDES)
    assert sent is not None and due is not None and due.met <= sent.met
