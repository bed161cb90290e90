"""Trace files: what is read, every mistake at once with its line, and what is written."""

from __future__ import annotations

import pytest

from pdctl.cli.render_error import render_error
from pdctl.errors import TraceInvalid
from pdctl.perf.trace_file import format_trace, parse_trace
from pdctl.perf.workload import Asked, Workload


def test_a_trace_is_read_with_its_prefixes_and_sorted_by_time() -> None:
    text = (
        '{"meta": {"version": "0.7"}}\n'
        '{"at": 10.0, "input_len": 1020, "output_len": 129, "kind": "chat"}\n\n'
        '{"at": 0, "input_len": 1500, "output_len": 13, "prefix_id": 4, "prefix_len": 1000}\n'
        '{"at": 10.0, "input_len": 5, "output_len": 1.0, "prefix_id": 0, "prefix_len": 9}\r\n'
    )
    assert parse_trace(text, "t.jsonl", rate=2.0, concurrency=3) == Workload(
        (Asked(0.0, 1500, 13, 4, 1000), Asked(5.0, 1020, 129), Asked(5.0, 5, 1, 0, 5)), concurrency=3
    )


def test_every_mistake_is_told_at_once_with_its_line_and_a_hint() -> None:
    text = "\n".join(
        [
            '{"at": 1, "input_len": 10, "output_len": 10}',
            '{"at": -1, "input_len": 0, "output_len": "ten"}',
            "[1, 2]",
            '{"at": 2, "input_len": 10, "output_len": 10},',
            '{"time": 2, "input_length": 10, "output_len": 10}',
            '{"at": 3, "input_len": 1.5, "output_len": true, "prefix_id": 1}',
            '{"at": 1774000000, "input_len": NaN, "output_len": 1e400}',
        ]
    )
    with pytest.raises(TraceInvalid) as caught:
        parse_trace(text, "day.jsonl")
    lines = [problem.split(":")[1] for problem in caught.value.problems]
    assert lines == ["2", "2", "2", "3", "4", "5", "5", "6", "6", "6", "7", "7", "7"]
    assert caught.value.message == "day.jsonl: 13 problems" and caught.value.exit_code == 65
    assert caught.value.problems[0] == "day.jsonl:2: at is -1 (hint: seconds from the start, 0 or more)"
    assert "'input_length' is another key" in caught.value.problems[6]
    assert "subtract the time of the first request" in caught.value.problems[10]
    assert all(problem in render_error(caught.value) for problem in caught.value.problems)


@pytest.mark.parametrize("text", ["", "\n \n", '{"meta": {}}\n'])
def test_a_trace_without_requests_is_an_error(text: str) -> None:
    with pytest.raises(TraceInvalid, match="no requests"):
        parse_trace(text, "empty.jsonl")


@pytest.mark.parametrize("line", ['{"at": 1' + "0" * 5000 + "}", "[" * 100_000, '{"at": "\x1b[2J"}'])
def test_a_hostile_line_is_a_problem_and_not_a_crash(line: str) -> None:
    with pytest.raises(TraceInvalid) as caught:
        parse_trace(line, "x")
    assert all(problem.isprintable() for problem in caught.value.problems)


def test_a_rate_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        parse_trace("", "x", rate=0.0)


def test_what_is_written_is_read_back() -> None:
    offered = Workload((Asked(0.1, 3, 2), Asked(0.30000000000000004, 9, 1, prefix_id=0, prefix_len=4)))
    assert parse_trace(format_trace(offered), "x") == offered
