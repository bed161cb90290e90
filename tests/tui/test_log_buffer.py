"""Logs of several units: their levels, their one order, and their bound."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdctl.model.observed import Trouble
from pdctl.supervisors.ports import LogLine
from pdctl.tui.log_buffer import MAX_CHARS, LogBuffer, matches, nearest
from pdctl.tui.log_level import LogLevel, level


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("INFO 11-22 16:55:18 [core.py:58] Initializing", LogLevel.INFO),
        ("(EngineCore_DP0 pid=123) ERROR 11-22 16:55:18 [core.py:700] EngineCore failed", LogLevel.ERROR),
        ("(APIServer pid=1) WARNING 11-22 16:55:18 [api_server.py:9] slow", LogLevel.WARNING),
        ('INFO:     127.0.0.1:5000 - "GET /health HTTP/1.1" 200 OK', LogLevel.INFO),
        ("ERROR:root:it broke", LogLevel.ERROR),
        ("[WARNING] something", LogLevel.WARNING),
        ("2026-11-22 16:55:18,123 - vllm.engine - CRITICAL - out of memory", LogLevel.CRITICAL),
        ("2026-11-22T16:55:18.123456Z  INFO vllm_router::server: started", LogLevel.INFO),
        ("2026-11-22 16:55:18 WARN vllm_router::core: worker gone", LogLevel.WARNING),
        ("[2026-11-22T16:55:18Z DEBUG hyper] read", LogLevel.DEBUG),
        ("E1122 16:55:18.123456 17 rdma.cc:12] no device", LogLevel.ERROR),
        ("mi300x-01:12:34 [0] NCCL WARN Call to ibv_reg_mr failed", LogLevel.WARNING),
        ('{"timestamp":"2026-11-22","level":"error","message":"x"}', LogLevel.ERROR),
        ("Traceback (most recent call last):", LogLevel.ERROR),
        ("thread 'main' panicked at src/main.rs:1", LogLevel.ERROR),
        ('  File "core.py", line 3, in step', None),
        ("INFORMATION about the model", None),
        ("the ERROR is in the middle", None),
        ("", None),
    ],
)
def test_level_of_a_line(text: str, expected: LogLevel | None) -> None:
    assert level(text) is expected


def fill(*lines: tuple[str, str, float | None], buffer: LogBuffer | None = None) -> LogBuffer:
    """A buffer with (unit, text, at) lines; each is heard a second after the other."""
    filled = LogBuffer() if buffer is None else buffer
    for second, (unit, text, at) in enumerate(lines, 1000):
        filled.add(unit, LogLine(unit, text, at), float(second))
    return filled


def texts(buffer: LogBuffer) -> list[str]:
    return [entry.text for entry in buffer.shown]


def test_units_are_merged_by_the_times_that_they_say() -> None:
    assert texts(fill(("a", "1", 1.0), ("a", "3", 3.0), ("b", "2", 2.0), ("b", "4", 4.0))) == ["1", "2", "3", "4"]


def test_a_traceback_stays_behind_its_line_and_has_its_level() -> None:
    buffer = fill(
        ("a", "ERROR it broke", 1.0), ("b", "INFO fine", 2.0), ("a", "  in step", None), ("a", "INFO on", 3.0)
    )
    assert texts(buffer) == ["ERROR it broke", "  in step", "INFO fine", "INFO on"]
    assert [entry.level for entry in buffer.shown[:2]] == [LogLevel.ERROR, LogLevel.ERROR]


def test_a_unit_that_says_no_times_is_placed_by_when_it_was_heard() -> None:
    assert texts(fill(("a", "first", None), ("b", "old", 5.0), ("a", "second", None))) == ["old", "first", "second"]


def test_a_clock_that_is_set_back_changes_no_order_of_one_unit() -> None:
    assert texts(fill(("a", "1", 9.0), ("a", "2", 1.0), ("a", "3", 2.0))) == ["1", "2", "3"]


def test_a_log_that_cannot_be_read_is_said_among_the_lines() -> None:
    buffer = fill(("a", "1", 1.0))
    buffer.add("a", Trouble("a: no route", "is it on?"), 2000.0)
    buffer.show_from(LogLevel.ERROR)
    assert [(entry.text, entry.trouble) for entry in buffer.shown] == [("a: no route (hint: is it on?)", True)]


def test_levels_below_are_hidden_also_of_what_comes_later() -> None:
    buffer = fill(("a", "INFO x", 1.0), ("a", "WARNING y", 2.0))
    buffer.show_from(LogLevel.WARNING)
    fill(("a", "DEBUG z", 3.0), ("a", "ERROR w", 4.0), buffer=buffer)
    assert texts(buffer) == ["WARNING y", "ERROR w"]
    buffer.show_from(LogLevel.DEBUG)
    assert len(buffer.shown) == len(buffer) == 4


def test_the_oldest_lines_go_first() -> None:
    buffer = fill(*(("a", f"INFO {number}", float(number)) for number in range(10)), buffer=LogBuffer(capacity=4))
    assert texts(buffer) == ["INFO 6", "INFO 7", "INFO 8", "INFO 9"]
    assert (buffer.dropped, len(buffer), buffer.units()) == (6, 4, {"a": 4})


def test_a_line_that_is_a_whole_prompt_is_cut_and_escapes_are_harmless() -> None:
    (entry,) = fill(("a", "\x1b[31mx" + "y" * 10_000, 1.0)).shown
    assert len(entry.text) == MAX_CHARS + 1
    assert "\x1b" not in entry.text


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.one_of(st.none(), st.floats(0, 50, allow_nan=False))),
        max_size=40,
    ),
    st.integers(1, 50),
)
def test_one_units_lines_keep_their_order_and_the_whole_is_sorted(
    spoken: list[tuple[str, float | None]], capacity: int
) -> None:
    buffer = LogBuffer(capacity=capacity)
    said: dict[str, list[str]] = defaultdict(list)
    for number, (unit, at) in enumerate(spoken):
        said[unit].append(str(number))
        buffer.add(unit, LogLine(unit, str(number), at), 1000.0 + number)
    assert [entry.order for entry in buffer.shown] == sorted(entry.order for entry in buffer.shown)
    for unit, lines in said.items():
        kept = [entry.text for entry in buffer.shown if entry.unit == unit]
        assert kept == [line for line in lines if line in kept]
    assert len(buffer) + buffer.dropped == len(spoken)
    assert len(buffer) <= capacity


@given(st.permutations(range(8)))
def test_what_other_units_say_in_between_changes_nothing(order: list[int]) -> None:
    next_of = {"a": iter(range(0, 8, 2)), "b": iter(range(1, 8, 2))}  # each unit says its own lines in order
    buffer = LogBuffer()
    for index in order:
        unit = "ab"[index % 2]
        number = next(next_of[unit])
        buffer.add(unit, LogLine(unit, str(number), float(number)), 1000.0)
    assert texts(buffer) == [str(number) for number in range(8)]


def test_search_goes_round_and_minds_capitals_only_where_there_are_some() -> None:
    shown = fill(("a", "Lost", 1.0), ("a", "ok", 2.0), ("a", "lost again", 3.0)).shown
    assert matches(shown, "lost") == [0, 2]
    assert matches(shown, "Lost") == [0]
    assert matches(shown, "") == []
    assert nearest([0, 2], 0, forward=True) == 2
    assert nearest([0, 2], 2, forward=True) == 0
    assert nearest([0, 2], 0, forward=False) == 2
    assert nearest([], 0, forward=True) is None


def test_a_place_is_found_again_after_lines_were_let_go() -> None:
    buffer = fill(*(("a", str(number), float(number)) for number in range(6)), buffer=LogBuffer(capacity=5))
    here = buffer.shown[2]
    fill(("a", "6", 6.0), buffer=buffer)
    assert buffer.place(here.order) == 1
    assert buffer.after(here.order) == 3
