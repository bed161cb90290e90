"""Any workload survives being written as a trace; no text makes the reader do anything but read it or refuse it."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from pdctl.errors import TraceInvalid
from pdctl.perf.trace_file import format_trace, parse_trace
from pdctl.perf.workload import Asked, Workload

LENGTHS = st.integers(1, 10**6)


@st.composite
def requests(draw: st.DrawFn) -> Asked:
    isl = draw(LENGTHS)
    prefix = draw(st.none() | st.tuples(st.integers(-5, 10**9), st.integers(0, isl)))
    prefix_id, prefix_len = prefix or (None, 0)
    return Asked(draw(st.floats(0, 86400)), isl, draw(LENGTHS), prefix_id, prefix_len)


@given(st.lists(requests(), min_size=1, max_size=8))
def test_a_workload_survives_its_trace(asked: list[Asked]) -> None:
    offered = Workload(tuple(sorted(asked, key=lambda request: request.at_s)))
    assert parse_trace(format_trace(offered), "t") == offered
    backwards = "\n".join(reversed(format_trace(offered).splitlines()))
    assert sorted(map(str, parse_trace(backwards, "t").asked)) == sorted(map(str, offered.asked))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["at", "input_len", "output_len", "prefix_id", "prefix_len", "meta", "x"]),
            inner,
            max_size=6,
        )
    ),
    max_leaves=8,
)


@given(st.lists(JSON.map(json.dumps) | st.text(max_size=20), min_size=1, max_size=5))
def test_any_text_is_read_or_refused_line_by_line(lines: list[str]) -> None:
    text = "\n".join(lines)
    try:
        read = parse_trace(text, "t")
    except TraceInvalid as error:
        numbers = [int(problem.split(":")[1]) for problem in error.problems]
        assert numbers == sorted(numbers)
        assert all(1 <= number <= text.count("\n") + 1 for number in numbers)
    else:
        assert [request.at_s for request in read.asked] == sorted(request.at_s for request in read.asked)
