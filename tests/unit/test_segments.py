"""Seeded segments: their notation, every mistake in it, and what they offer."""

from __future__ import annotations

import math

import pytest

from pdctl.errors import UsageError
from pdctl.perf.segments import Segment, parse_segments, segment_load
from pdctl.perf.walk import segments_of, walk_segments

SPEC = "300:8000-16000:30-60:4.4, 240:300-800:2000-8000:0.4"


def test_segments_are_read_and_written_alike() -> None:
    segments = parse_segments(SPEC)
    assert segments == (Segment(300, (8000, 16000), (30, 60), 4.4), Segment(240, (300, 800), (2000, 8000), 0.4))
    assert parse_segments(",".join(map(str, segments)) + ",") == segments


def test_requests_lie_within_the_bounds_and_the_time_of_their_segment() -> None:
    offered = segment_load(parse_segments("100:1000-2000:10-20:2,50:100-200:500-600:1"), 3.0, seed=7).asked
    first = [request for request in offered if request.at_s < 100]
    last = [request for request in offered if request.at_s >= 100]
    assert len(first) == pytest.approx(600, rel=0.15) and len(last) == pytest.approx(150, rel=0.25)
    assert all(1000 <= request.isl <= 2000 and 10 <= request.osl <= 20 for request in first)
    assert all(100 <= request.isl <= 200 and 500 <= request.osl <= 600 and request.at_s < 150 for request in last)


def test_the_draws_are_those_of_narwhals_generator() -> None:
    """Gap, then prompt length, then answer length, from one generator: a change of that order would change all."""
    first = segment_load(parse_segments("1000:8000-16000:30-60:16"), 0.5, seed=7).asked[:2]
    assert [(round(request.at_s, 6), request.isl, request.osl) for request in first] == [
        (0.048914, 9235, 42),
        (0.180476, 8593, 56),
    ]


def test_a_multiple_of_nought_is_a_pause() -> None:
    offered = segment_load(parse_segments("10:1-1:1-1:5,100:1-1:1-1:0,10:1-1:1-1:5"), seed=1).asked
    assert offered and not [request for request in offered if 10 <= request.at_s < 110]
    assert offered[-1].at_s > 110


@pytest.mark.parametrize(
    "spec", ["", " , ", "300:8000-16000:30-60", "x:1-2:3-4:5", "1:2:3:4", "0:1-2:3-4:1", "9:5-1:1-2:1"]
)
def test_what_is_no_segment_is_refused_with_the_form(spec: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_segments(spec)
    assert "dur:isl_lo-isl_hi:osl_lo-osl_hi:mult" in caught.value.hint


def test_a_rate_that_would_never_end_is_refused() -> None:
    for rate in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(UsageError):
            segment_load(parse_segments(SPEC), rate)


def test_the_walk_has_a_name() -> None:
    assert segments_of("walk") == walk_segments() and segments_of("walk:60") == walk_segments(60.0)
    assert segments_of(SPEC) == parse_segments(SPEC)
    for wrong in ("walk:", "walk:x", "walk:0", "walks"):
        with pytest.raises(UsageError):
            segments_of(wrong)


def test_every_mistake_is_named_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        parse_segments("nan:1-2:3-4:-1, 10:1-2:3-4:1, 5:0-2:b:1")
    assert [problem.split(" ")[1] for problem in caught.value.problems] == ["1", "1", "3", "3"]
