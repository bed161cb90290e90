"""The home view in the app: it shows what came, repaints what changed, and grows old where nothing comes."""

from __future__ import annotations

import pytest
from textual.app import App

from pdctl.tui.screens.pulse import PulseScreen
from pdctl.tui.spans import plain
from tests.tui.fakes import FakeFeed, app_over
from tests.tui.fleet import START_S, snapshot


def screen_of(app: App[int]) -> PulseScreen:
    assert isinstance(app.screen, PulseScreen)
    return app.screen


def text_of(app: App[int]) -> str:
    return "\n".join(plain(line) for line in screen_of(app).canvas.lines)


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_pulse_is_home_and_fills_what_is_left(size: tuple[int, int]) -> None:
    feed = FakeFeed()
    app = app_over(feed)
    async with app.run_test(size=size) as pilot:
        await feed.push(snapshot(2, 3, hung=(3,)))
        await pilot.pause()
        canvas = screen_of(app).canvas
        assert len(canvas.lines) == canvas.size.height == size[1] - 3
        assert "held back by decode" in text_of(app)
        assert "n03.main.0 no step" in text_of(app)


async def test_a_tick_paints_the_lines_that_changed_and_age_makes_figures_old() -> None:
    feed = FakeFeed()
    app = app_over(feed)
    async with app.run_test(size=(80, 24)) as pilot:
        await feed.push(snapshot(tick=0))
        await pilot.pause()
        canvas = screen_of(app).canvas
        await pilot.pause()  # the first picture is painted, and laid out
        painted = canvas.painted_lines
        await feed.push(snapshot(tick=0))
        await pilot.pause()
        assert canvas.painted_lines == painted
        assert "42s" not in text_of(app)
        app.wall = lambda: START_S + 42.0
        screen_of(app).take(None)
        assert text_of(app).count("42s") > 5
