"""The filter's grammar: what matches, and where a mistake is."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdctl.tui.columns import ColumnSpec
from pdctl.tui.filter import FilterError, parse_filter


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    pool: str
    ttft_s: float | None
    kv: float | None = 0.5


COLUMNS: tuple[ColumnSpec[Row], ...] = (
    ColumnSpec("node", 0, 8, lambda row: row.name, lambda row: row.name),
    ColumnSpec("pool", 0, 8, lambda row: row.pool, lambda row: row.pool),
    ColumnSpec("ttft", 0, 8, lambda row: row.ttft_s, lambda row: "?" if row.ttft_s is None else f"{row.ttft_s}s"),
    ColumnSpec("kv", 0, 8, lambda row: row.kv, lambda row: str(row.kv)),
)
FAST = Row("n1", "prefill", 0.2)
SLOW = Row("n2", "decode", 0.9, 0.95)
DARK = Row("n3", "decode", None, None)


@pytest.mark.parametrize(
    ("text", "matching"),
    [
        ("", "n1 n2 n3"),
        ("pool:decode", "n2 n3"),
        ("POOL:DEC", "n2 n3"),
        ("pool=dec", ""),
        ("pool=decode", "n2 n3"),
        ("!pool:decode", "n1"),
        ("pool!=decode", "n1"),
        ("ttft>800ms", "n2"),
        ("ttft>=0.9s", "n2"),
        ("ttft<1s", "n1 n2"),  # what is not known matches no comparison
        ("!ttft<1s", "n3"),
        ("ttft=200ms", "n1"),
        ("kv>90%", "n2"),
        ("n[12]", "n1 n2"),
        ("decode !n2", "n3"),
        ("pool:decode ttft>800ms !n3", "n2"),
        ('node:"n2"', "n2"),
    ],
)
def test_terms_match_and_are_joined_by_and(text: str, matching: str) -> None:
    matches = parse_filter(text, COLUMNS)
    assert " ".join(row.name for row in (FAST, SLOW, DARK) if matches(row)) == matching


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("pool:decode tftt>1s", 12, "no column 'tftt'"),
        ("ttft>fast", 5, "no figure"),
        ("ttft>", 5, "needs a value"),
        ("a !", 2, "something to negate"),
        ("x n[1", 3, "no regular expression"),
        ('pool:"dec', 5, "not closed"),
    ],
)
def test_a_mistake_has_its_place(text: str, column: int, said: str) -> None:
    with pytest.raises(FilterError, match=re.escape(said)) as mistake:
        parse_filter(text, COLUMNS)
    assert mistake.value.column == column


@given(st.text(st.sampled_from('abn12!:<>="[](){}*+?\\ pool tf.s%m'), max_size=40))
def test_any_text_is_a_filter_or_a_mistake_within_it(text: str) -> None:
    try:
        matches = parse_filter(text, COLUMNS)
    except FilterError as mistake:
        assert 0 <= mistake.column <= len(text)  # noqa: PT017
    else:
        assert [matches(row) in (True, False) for row in (FAST, SLOW, DARK)]


@given(st.sampled_from(["pool:decode", "ttft>800ms", "n[12]", "kv>=50%"]))
def test_a_negated_term_is_its_opposite(term: str) -> None:
    matches, other = parse_filter(term, COLUMNS), parse_filter(f"!{term}", COLUMNS)
    assert all(matches(row) is not other(row) for row in (FAST, SLOW, DARK))
