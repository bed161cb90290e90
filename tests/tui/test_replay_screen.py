"""Time on the screen: a recording is never told as live, and its keys move it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot

from pdctl.tui.app import PdctlApp
from pdctl.tui.recorded import RecordingFeed, RecordingOperations
from pdctl.tui.replay_line import mark_of, moment, replay_line
from pdctl.tui.settings import Settings
from pdctl.tui.spans import plain
from tests.tui.fakes import FakeFeed, app_over
from tests.tui.fleet import START_S
from tests.tui.test_playback import Hand, Tape


@asynccontextmanager
async def replayed() -> AsyncIterator[tuple[Pilot[int], RecordingFeed]]:
    feed = RecordingFeed(Tape(), clock=Hand())
    app = PdctlApp(feed, RecordingOperations(Path("x.rec"), "demo"), Settings(timers=False), wall=lambda: START_S + 9e6)
    async with app.run_test(size=(100, 30)) as pilot:
        await shows(pilot, 0)
        yield pilot, feed


async def shows(pilot: Pilot[int], seq: int) -> None:
    """Wait until the snapshot of that number is on the screen."""
    assert isinstance(pilot.app, PdctlApp)
    for _ in range(100):
        if pilot.app.shown is not None and pilot.app.shown.seq == seq:
            return
        await pilot.pause(0.01)
    raise AssertionError(f"snapshot {seq} was never shown")


async def test_keys_step_pause_and_seek() -> None:
    async with replayed() as (pilot, feed):
        assert isinstance(pilot.app, PdctlApp)
        assert mark_of(feed) == "1/5"
        await pilot.press("right_square_bracket")
        await shows(pilot, 1)
        assert mark_of(feed) == "2/5 paused"
        await pilot.press("left_square_bracket")
        await shows(pilot, 0)
        await pilot.press("greater_than_sign")
        assert feed.speed == 2.0
        await pilot.press("colon", *"seek +3s", "enter")
        await shows(pilot, 3)
        await pilot.press("space")
        assert mark_of(feed) == "4/5 2x"


async def test_a_recording_says_that_it_is_one_and_changes_nothing() -> None:
    async with replayed() as (pilot, _):
        assert isinstance(pilot.app, PdctlApp)
        heading = pilot.app.heading()
        assert heading.mark == "1/5"
        assert "recording" in heading.read_only
        await pilot.press("2", "m")
        assert pilot.app.current_mode == "nodes"
        assert len(pilot.app.screen_stack) == 1


async def test_a_feed_without_a_past_says_so() -> None:
    feed = FakeFeed()
    async with app_over(feed).run_test() as pilot:
        assert isinstance(pilot.app, PdctlApp)
        await pilot.press("left_square_bracket")
        assert pilot.app.seek("03:14") == "there is no past to go to here"


def test_the_bar_says_where_it_stands() -> None:
    feed = RecordingFeed(Tape(), first=2)
    for width in (40, 80, 160):
        line = plain(replay_line(feed, width))
        assert "3 of 5" in line
        assert len(line) <= max(width, 48)
    feed.set_speed(10.0)
    assert mark_of(feed) == "3/5 10x"
    feed.toggle()
    assert mark_of(feed) == "3/5 10x paused"


@pytest.mark.parametrize(("text", "expected"), [("+90s", 90.0), ("-1m", 3540.0), ("+1h", 3600.0), ("-30", 3570.0)])
def test_what_a_moment_means(text: str, expected: float) -> None:
    assert moment(text, (START_S, START_S + 3600.0)) == START_S + expected


@pytest.mark.parametrize("text", ["", "soon", "25:00", "-", "+m", "2026-13-01T00:00"])
def test_what_is_no_moment_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="is no time"):
        moment(text, (START_S,))
