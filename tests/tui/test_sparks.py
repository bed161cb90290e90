"""Series as characters."""

from __future__ import annotations

import pytest

from pdctl.tui.sparks import bar, chart, hanging, samples, sparkline, top_of


def test_a_sparkline_has_a_character_a_value_and_a_gap_where_nothing_is_known() -> None:
    assert sparkline([0.0, 0.5, 1.0, None, 0.0], top=1.0) == "▁▅█ ▁"


def test_what_goes_beyond_the_top_stays_in_its_line() -> None:
    assert sparkline([5.0], top=1.0) == "█"


@pytest.mark.parametrize(("highest", "edge"), [(0.0, 1.0), (0.07, 0.1), (0.11, 0.2), (2.0, 2.0), (1234.0, 2000.0)])
def test_the_top_edge_is_a_round_number_that_seldom_changes(highest: float, edge: float) -> None:
    assert top_of([highest, None]) == pytest.approx(edge)


@pytest.mark.parametrize(
    ("share", "shown"), [(0.0, "▱▱▱▱"), (0.01, "▰▱▱▱"), (0.5, "▰▰▱▱"), (0.99, "▰▰▰▱"), (1.0, "▰▰▰▰"), (7.0, "▰▰▰▰")]
)
def test_a_bar_shows_anything_above_nothing_and_is_full_only_when_all_is(share: float, shown: str) -> None:
    assert bar(share, 4) == shown


def test_a_filled_chart_has_two_values_a_character_and_four_dots_a_line() -> None:
    assert chart([1.0, 1.0, 0.5, 0.5], 2, top=1.0, filled=True) == ("⣿ ", "⣿⣿")
    assert samples(10) == 20
    assert samples(10, ascii_only=True) == 10


def test_a_line_joins_its_values() -> None:
    """From the ground to the top in one step: every line in between has a mark."""
    lines = chart([0.0, 0.0, 1.0, 1.0], 3, top=1.0)
    assert all(line.strip() for line in lines)
    assert lines[2][0] == "⣀"
    assert lines[0].endswith("⠉") or lines[0][-1] != " "


def test_a_gap_is_blank_and_zero_is_not() -> None:
    assert chart([None, None, 0.0, 0.0], 1, top=1.0) == (" ⣀",)


def test_what_hangs_is_the_mirror_of_what_stands() -> None:
    assert chart([0.25, 0.5], 1, top=1.0, filled=True) == ("⣠",)
    assert hanging([0.25, 0.5], 1, top=1.0) == ("⠙",)
    assert hanging([1.0, 1.0, 0.0, 0.0], 2, top=1.0) == ("⣿⠉", "⣿ ")


def test_without_braille_a_character_is_a_value() -> None:
    assert chart([0.0, 1.0, 2.0, None], 2, top=2.0, ascii_only=True, filled=True) == ("  # ", "_## ")
    assert all(ord(mark) < 128 for line in chart([0.1, 0.9], 3, ascii_only=True) for mark in line)
