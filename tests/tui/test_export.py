"""Screens and tables as files, without a terminal."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from pdctl.cli.main import cli
from pdctl.cli.top_export import parse_size
from pdctl.errors import PdctlError, UsageError
from pdctl.telemetry.recording import Recorder
from pdctl.tui.export import render_svg
from tests.tui.fakes import FakeFeed, app_over
from tests.tui.fleet import later, snapshot


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "r.db"
    recorder = Recorder(path, "demo")
    tick = snapshot(2, 3, hung=(3,))
    for _ in range(5):
        recorder.add(tick)
        tick = later(tick)
    recorder.close()
    return path


def test_sizes() -> None:
    assert parse_size("160x48") == (160, 48)
    for wrong in ("80", "80x", "x24", "axb", "5x5", "80x-1", "9999x9999"):
        with pytest.raises(UsageError):
            parse_size(wrong)


async def test_a_screen_is_drawn_without_a_terminal() -> None:
    feed = FakeFeed()
    feed._queue.put_nowait(snapshot(2, 3, hung=(3,)))
    picture = await render_svg(app_over(feed, start="matrix"), size=(100, 30))
    assert ElementTree.fromstring(picture.svg).tag.endswith("svg")
    assert "broken" in picture.svg
    lines = picture.text.splitlines()
    assert len(lines) == 30
    assert "CANARIES 2 x 3" in picture.text


async def test_a_feed_that_breaks_is_an_error_and_no_empty_picture() -> None:
    feed = FakeFeed()
    feed._queue.put_nowait(PdctlError("the bastion is down"))
    with pytest.raises(PdctlError, match="the bastion is down"):
        await render_svg(app_over(feed), size=(80, 24))


@pytest.mark.parametrize("view", ["pulse", "nodes"])
def test_top_writes_a_picture_of_a_recording(recording: Path, tmp_path: Path, view: str) -> None:
    path = tmp_path / "screen.txt"
    arguments = ["top", "--snapshot", str(path), "--view", view, "--size", "80x24", "--replay", str(recording)]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    text = path.read_text()
    assert "recording" in text.splitlines()[0]
    assert "n03" in text


def test_top_prints_a_table_of_a_recording(recording: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["top", "--csv", "pairs", "--replay", str(recording)])
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0].startswith("prefill,decode,state,")
    assert len(result.stdout.splitlines()) == 7
    path = tmp_path / "no" / "such" / "place.csv"
    broken = CliRunner().invoke(cli, ["top", "--csv", "pairs", "--replay", str(recording), "-o", str(path)])
    assert isinstance(broken.exception, UsageError) or broken.exit_code == 64


def test_a_recording_without_a_file_to_write_is_refused(recording: Path) -> None:
    result = CliRunner().invoke(cli, ["top", "--replay", str(recording)])
    assert isinstance(result.exception, UsageError) or result.exit_code == 64
