"""Lines in columns: exact widths, nothing cut within a word without a sign of it."""

from __future__ import annotations

import pytest

from pdctl.tui.spans import Ink, Span, beside, cell, clipped, cut, fit, justified, pad, plain, to_ascii, width, wrapped


@pytest.mark.parametrize(
    ("text", "columns", "right", "shown"),
    [
        ("ab", 4, False, "ab  "),
        ("ab", 4, True, "  ab"),
        ("abcdef", 4, False, "abc…"),
        ("漢字", 3, False, "漢…"),
        ("a", 0, False, ""),
    ],
)
def test_text_in_exactly_so_many_columns(text: str, columns: int, right: bool, shown: str) -> None:
    assert fit(text, columns, right=right) == shown
    assert width((Span(fit(text, columns, right=right)),)) == columns


def test_what_a_remote_program_wrote_cannot_move_the_cursor() -> None:
    assert "\x1b" not in cell("\x1b[2Jgone\r\n", 12).text
    assert "\n" not in cell("a\nb", 12).text


def test_a_sentence_is_cut_between_words_and_says_so() -> None:
    assert clipped("requests queue there for long", 20) == "requests queue…"
    assert clipped("fits", 4) == "fits"
    assert clipped("onelongwordwithoutablank", 10) == "onelongwo…"


def test_lines_are_padded_or_cut_to_the_column() -> None:
    line = (Span("abc", Ink.BOLD), Span("def"))
    assert plain(pad(line, 8)) == "abcdef  "
    assert plain(cut(line, 5)) == "abcd…"
    assert cut(line, 6) is line
    assert plain(justified((Span("a"),), (Span("b"),), 5)) == "a   b"
    assert plain(justified((Span("abc"),), (Span("def"),), 6)) == "abc   "


def test_blocks_side_by_side_are_as_high_as_asked() -> None:
    lines = beside([((((Span("a"),)),), 2), ((((Span("b"),)), ((Span("c"),))), 2)], 2)
    assert [plain(line) for line in lines] == ["a b ", "  c "]


def test_words_wrap_and_nothing_is_lost() -> None:
    assert wrapped("one two three", 7) == ["one two", "three"]
    assert (
        "".join(wrapped("a_very_long_name_of_a_thing in short", 10)).replace(" ", "")
        == "a_very_long_name_of_a_thinginshort"
    )
    assert all(len(line) <= 10 for line in wrapped("a_very_long_name_of_a_thing in short", 10))


def test_every_sign_has_a_plain_one_of_the_same_width() -> None:
    signs = "…↑↓→━─│▶·●▲✖▁▂▃▄▅▆▇█▰▱◆■□▪"
    turned = plain(to_ascii((Span(signs),)))
    assert len(turned) == len(signs)
    assert turned.isascii()
