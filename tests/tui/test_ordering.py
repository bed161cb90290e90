"""Rows do not jump: small differences move nothing, large ones do, what is unknown is last."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pdctl.tui.columns import Value
from pdctl.tui.ordering import Ordering, reordered, sorted_ids

KEYS = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=2), st.none() | st.floats(0, 1e6) | st.text("xyz", max_size=2), max_size=12
)


def test_a_small_difference_moves_no_row_and_a_lasting_large_one_does() -> None:
    ordering = Ordering()
    assert ordering.take({"a": 10.0, "b": 9.0, "c": 1.0}, descending=True) == ["a", "b", "c"]
    for _ in range(20):
        assert ordering.take({"a": 10.0, "b": 10.5, "c": 1.0}, descending=True) == ["a", "b", "c"]
    seen = [ordering.take({"a": 10.0, "b": 10.5, "c": 100.0}, descending=True) for _ in range(20)]
    assert seen[-1] == ["c", "a", "b"]


def test_one_spike_moves_a_row_no_further_than_its_share() -> None:
    ordering = Ordering()
    ordering.take({"a": 10.0, "b": 1.0}, descending=True)
    assert ordering.take({"a": 10.0, "b": 20.0}, descending=True) == ["a", "b"]


def test_while_the_operator_moves_rows_stay_and_new_ones_come_last() -> None:
    ordering = Ordering()
    ordering.take({"a": 3.0, "b": 2.0}, descending=True)
    assert ordering.take({"a": 1.0, "b": 90.0, "c": 99.0}, descending=True, frozen=True) == ["a", "b", "c"]
    assert ordering.take({"b": 90.0, "c": 99.0}, descending=True, frozen=True) == ["b", "c"]


@given(KEYS, st.booleans())
def test_sorting_loses_no_row_and_puts_the_unknown_last(keys: dict[str, Value], descending: bool) -> None:
    order = sorted_ids(keys, descending=descending)
    assert sorted(order) == sorted(keys)
    unknown = [name for name in order if keys[name] is None]
    assert order[len(order) - len(unknown) :] == unknown


@given(KEYS, KEYS, st.booleans())
def test_a_new_tick_keeps_exactly_the_rows_that_there_are(
    before: dict[str, Value], now: dict[str, Value], descending: bool
) -> None:
    order = reordered(sorted_ids(before, descending=descending), now, descending=descending)
    assert sorted(order) == sorted(now)
    assert reordered(order, now, descending=descending) == order  # nothing moves where nothing changed


@given(KEYS, st.booleans())
def test_an_order_that_is_right_stays(keys: dict[str, Value], descending: bool) -> None:
    order = sorted_ids(keys, descending=descending)
    assert reordered(order, keys, descending=descending) == order
