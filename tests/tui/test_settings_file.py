"""The settings file: partial, and every mistake located."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdctl.tui.settings import Settings
from pdctl.tui.settings_file import InvalidSettings, load_settings, parse_settings


def test_no_file_and_an_empty_one_are_the_defaults(tmp_path: Path) -> None:
    assert load_settings(tmp_path / "tui.yaml") == Settings()
    assert parse_settings("# nothing yet\n", "tui.yaml") == Settings()


def test_what_is_not_named_keeps_its_default() -> None:
    settings = parse_settings("theme: nord\nkeys:\n  move: M\n  filter: ['/', ctrl+f]\n", "tui.yaml")
    assert settings == Settings(theme="nord", keymap={"move": ("M",), "filter": ("slash", "ctrl+f")})


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        ("thme: nord\n", 1, 1, "did you mean 'theme'"),
        ("interval: 0.01\n", 1, 11, "0.2 to 60"),
        ("interval: fast\n", 1, 11, "0.2 to 60"),
        ("view: top\n", 1, 7, "no view 'top'"),
        ("ascii: 7\n", 1, 8, "true or false"),
        ("keys:\n  mvoe: M\n", 2, 3, "did you mean 'move'"),
        ("keys:\n  move: d\n", 2, 9, "key of drain"),
        ("keys:\n  move: []\n", 2, 3, "a key, or a list"),
        ("- a\n", 1, 1, "mapping"),
        ("theme: [\n", 2, 1, ""),
    ],
)
def test_a_mistake_is_located(text: str, line: int, column: int, said: str) -> None:
    with pytest.raises(InvalidSettings) as mistakes:
        parse_settings(text, "tui.yaml")
    first = mistakes.value.located[0]
    assert (first.file, first.line) == ("tui.yaml", line)
    assert first.col in (column, 1)
    assert said in f"{first.message} {first.hint}"


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    with pytest.raises(InvalidSettings) as mistakes:
        parse_settings("view: top\nthme: x\nkeys: {nope: x}\n", "tui.yaml")
    assert [problem.line for problem in mistakes.value.located] == [1, 2, 3]


def test_keys_may_be_exchanged_where_both_are_named() -> None:
    settings = parse_settings("keys: {move: d, drain: m}\n", "tui.yaml")
    assert settings.keymap == {"move": ("d",), "drain": ("m",)}
