"""Rows survive their file, whatever is in them, and so do the figures that come of them."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pdctl.bench.row import Row
from pdctl.bench.runs.row_codec import StoredRow, decode, encode
from pdctl.model.outcome import Outcome
from tests.bench_rows import row

TIMES = st.integers(0, 10**10).map(lambda us: us / 1e6)
TEXT = st.text(max_size=40)

ROWS = st.builds(
    Row,
    index=st.integers(0, 10**6),
    request_id=TEXT,
    at_s=TIMES,
    sent_s=TIMES,
    isl=st.integers(1, 10**6),
    osl=st.integers(1, 10**6),
    outcome=st.sampled_from(Outcome),
    ttft_s=st.none() | TIMES,
    e2el_s=TIMES,
    gaps_s=st.lists(TIMES, max_size=8).map(tuple),
    tokens=st.integers(0, 10**6),
    prompt_tokens=st.none() | st.integers(0, 10**6),
    first_byte_s=st.none() | TIMES,
    streamed=st.booleans(),
    status=st.none() | st.integers(100, 599),
    prefill=TEXT,
    decode=TEXT,
    attempts=st.integers(1, 3),
    refusal=TEXT,
    error=TEXT,
)


@given(ROWS, st.integers(0, 3))
def test_a_row_comes_back_as_it_was(what: Row, stretch: int) -> None:
    line = encode(what, stretch)
    assert line.count(b"\n") == 1
    assert decode(line) == StoredRow(what, stretch)


@given(st.floats(0, 1e4, allow_nan=False))
def test_times_are_kept_to_the_microsecond(seconds: float) -> None:
    kept = decode(encode(replace(row(), e2el_s=seconds, gaps_s=(seconds,)))).row
    assert abs(kept.e2el_s - seconds) <= 1e-6
    assert abs(kept.gaps_s[0] - seconds) <= 1e-6
    assert encode(kept) == encode(decode(encode(kept)).row)
