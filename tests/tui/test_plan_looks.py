"""A plan on the screen: whole at every size, in plain characters where it must be, moved through by keys."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual.command import CommandPalette
from textual.pilot import Pilot
from textual.widgets import Button

from pdctl.plan.steps import Action, Plan, Step
from pdctl.tui.screens.ask import AskStop
from pdctl.tui.screens.help import HelpScreen
from pdctl.tui.screens.plan import PlanScreen
from pdctl.tui.spans import plain
from tests.tui.fakes import STILL, FakeFeed, app_over
from tests.tui.fleet import snapshot
from tests.tui.patience import on_screen, until
from tests.tui.plan_scene import (
    PROPOSAL,
    agreed,
    ended,
    fleet,
    plan_of_move,
    shown,
)


@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
async def test_a_plan_is_whole_at_every_size(size: tuple[int, int]) -> None:
    async with shown(fleet(), size) as pilot:
        screen = await plan_of_move(pilot)
        assert screen.query_one("#cancel", Button).region.bottom < size[1]
        assert all(len(plain(line)) <= size[0] for line in screen.lines(size[0] - 1))


@pytest.mark.slow
async def test_a_plain_terminal_gets_plain_characters() -> None:
    feed = FakeFeed()
    async with app_over(feed, fleet(), start="nodes", settings=replace(STILL, ascii_only=True)).run_test() as pilot:
        await feed.push(snapshot())
        await plan_of_move(pilot)
        assert painted(pilot).isascii()
        await agreed(pilot)
        await pilot.press("x")
        await on_screen(pilot, AskStop)
        assert painted(pilot).isascii()
        await pilot.press("escape")
        await on_screen(pilot, PlanScreen)
        await pilot.press("x")
        await on_screen(pilot, AskStop)
        await pilot.press("left", "enter")
        await ended(pilot)


@pytest.mark.parametrize("key", ["ctrl+p", "question_mark"])
async def test_help_and_palette_of_a_plain_terminal_have_plain_characters(key: str) -> None:
    feed = FakeFeed()
    async with app_over(feed, fleet(), start="nodes", settings=replace(STILL, ascii_only=True)).run_test() as pilot:
        await feed.push(snapshot())
        await pilot.press(key)
        await pilot.pause()
        assert isinstance(pilot.app.screen, CommandPalette | HelpScreen)
        await until(pilot, lambda: "restart" in painted(pilot).lower(), "it is filled")
        assert painted(pilot).isascii()


def painted(pilot: Pilot[int]) -> str:
    """All that is on the screen."""
    lines = pilot.app.screen._compositor.render_strips()
    return "\n".join(line.text for line in lines)


async def test_arrows_go_between_the_answers_and_through_steps_that_do_not_fit() -> None:
    many = tuple(Step(Action.START, f"n{number:02}.main.0", f"n{number:02}", "") for number in range(40))
    operations = fleet()
    operations.proposal = replace(PROPOSAL, plan=Plan("restart", (), many))
    feed = FakeFeed()
    async with app_over(feed, operations, start="nodes").run_test(size=(80, 24)) as pilot:
        await feed.push(snapshot())
        screen = await plan_of_move(pilot)
        cancel, agree = screen.query_one("#cancel", Button), screen.query_one("#agree", Button)
        assert cancel.has_focus
        await pilot.press("right")
        assert agree.has_focus
        await pilot.press("right", "left")
        assert cancel.has_focus
        assert "n39.main.0" not in painted(pilot)
        await pilot.press("end")
        assert "n39.main.0" in painted(pilot)
        assert cancel.has_focus


async def test_y_copies_the_command_of_the_plan() -> None:
    feed = FakeFeed()
    app = app_over(feed, fleet(), start="nodes")
    async with app.run_test() as pilot:
        await feed.push(snapshot())
        await plan_of_move(pilot)
        await pilot.press("y")
        assert app.clipboard == "pdctl move n05 --to prefill"
