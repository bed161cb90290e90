"""`pdctl top`, `pdctl keys` and `pdctl` alone: what they need, what they load, what they say without a terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pdctl.cli import terminal_settings as settings_module
from pdctl.cli.global_options import Globals
from pdctl.cli.main import main
from pdctl.cli.terminal import read_only_here
from pdctl.cli.terminal_settings import SLOW_INTERVAL_S, terminal_settings
from tests.unit.deployments import mori_1p1d
from tests.unit.test_import_hygiene import loaded_by


@pytest.fixture(autouse=True)
def _nobodys_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(settings_module, "settings_path", lambda: tmp_path / "tui.yaml")
    monkeypatch.setattr("pdctl.cli.commands.keys.settings_path", lambda: tmp_path / "tui.yaml", raising=False)
    for name in ("TEXTUAL_FPS", "TEXTUAL_ANIMATIONS", "TEXTUAL_SMOOTH_SCROLL", "LC_ALL", "LC_CTYPE"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("LANG", "C.UTF-8")


def run(*argv: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_without_a_terminal_top_is_refused_and_pdctl_alone_helps(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("top") == 64
    assert "needs a terminal" in capsys.readouterr().err
    assert run() == 64
    assert "Commands:" in capsys.readouterr().out


def test_keys_prints_every_action_and_loads_no_screen(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("keys") == 0
    said = capsys.readouterr().out
    assert "move" in said
    assert "tui.yaml" in said
    assert run("--json", "keys") == 0
    document = json.loads(capsys.readouterr().out)
    assert next(item for item in document["actions"] if item["id"] == "move")["danger"] == "destructive"
    loaded = loaded_by("import sys; sys.argv = ['pdctl', 'keys']; from pdctl.cli.main import main; main()")
    assert "pdctl.tui.actions" in loaded
    assert "textual" not in loaded


def test_a_mistake_in_the_settings_file_is_told_with_its_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "tui.yaml").write_text("keys:\n  mvoe: M\n")
    assert run("keys") == 65
    assert "tui.yaml:2:3" in capsys.readouterr().err


def test_what_is_typed_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "tui.yaml").write_text("theme: nord\ninterval: 5\nview: nodes\n")
    assert terminal_settings().interval_s == 5.0
    typed = terminal_settings(theme="pdctl-light", slow=True)
    assert (typed.theme, typed.interval_s, typed.start) == ("pdctl-light", SLOW_INTERVAL_S, "nodes")
    assert terminal_settings(slow=True, interval_s=0.5).interval_s == 0.5


@pytest.mark.parametrize(("locale", "plain"), [("C", True), ("POSIX", True), ("C.UTF-8", False), ("", False)])
def test_a_locale_without_unicode_gets_ascii(monkeypatch: pytest.MonkeyPatch, locale: str, plain: bool) -> None:
    monkeypatch.setenv("LANG", locale)
    assert terminal_settings().ascii_only is plain


def test_the_flag_wins_over_the_inventory() -> None:
    assert read_only_here(Globals(), mori_1p1d()) == ""
    assert read_only_here(Globals(read_only=True), mori_1p1d()) == "--read-only"
