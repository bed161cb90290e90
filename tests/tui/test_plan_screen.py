"""A change by keys: chosen, shown as a plan, agreed to or not, watched, cancelled, refused."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from textual.widgets import Button, Input, OptionList

from pdctl.control.request import DrainRequest, MoveRequest
from pdctl.errors import PlanRefused
from pdctl.tui.screens.ask import AskReason, AskStop, ChoosePool
from pdctl.tui.screens.plan import PlanScreen
from tests.tui.patience import on_screen, until
from tests.tui.plan_scene import (
    agreed,
    ended,
    fleet,
    left,
    plan_of_move,
    shown,
    text,
    the_app,
)
from tests.waiting import wait_until


async def test_a_move_is_shown_as_a_plan_and_cancel_has_the_focus() -> None:
    operations = fleet()
    async with shown(operations) as pilot:
        await pilot.press("m")
        question = await on_screen(pilot, ChoosePool)
        assert question.query_one(OptionList).option_count == 3  # both pools, and none: a spare
        await pilot.press("enter")
        screen = await on_screen(pilot, PlanScreen)
        await until(pilot, lambda: screen.proposal, "the plan")
        told = text(pilot)
        assert "decode         3        2        2        1" in told
        assert told.count("decode will be busy") == 1
        assert "effect  TTFT p99 falls by a third" in told
        assert "$ pdctl move n05 --to prefill" in told
        assert "point of no return" in told
        assert isinstance(pilot.app.focused, Button)
        assert pilot.app.focused.id == "cancel"
        await pilot.press("enter")
        await left(pilot)
        assert [name for name, _ in operations.asked if name == "carry_out"] == []


async def test_escape_leaves_a_plan_and_nothing_is_done() -> None:
    operations = fleet()
    async with shown(operations) as pilot:
        await plan_of_move(pilot)
        await pilot.press("escape")
        await left(pilot)
        assert operations.asked[-1][0] == "propose"


async def test_a_move_that_is_agreed_to_runs_to_its_end() -> None:
    operations = fleet()
    operations.go.set()
    async with shown(operations) as pilot:
        await plan_of_move(pilot)
        await agreed(pilot)
        await until(pilot, lambda: "2 of 4 steps done" in text(pilot), "two steps are done")
        assert operations.asked[-1] == ("carry_out", MoveRequest(("n05",), "prefill"))
        assert the_app(pilot).heading().mark == "move 2/4"
        operations.go_on.set()
        await ended(pilot)
        assert "● done in 4.0s  4 of 4 steps done" in text(pilot)
        assert the_app(pilot).heading().mark == ""


async def test_a_move_that_is_done_can_be_taken_back_by_another_plan() -> None:
    operations = fleet()
    operations.go.set()
    operations.go_on.set()
    name = operations.deployment.slots[-1].node
    async with shown(operations) as pilot:
        the_app(pilot).begin_change("move", (name,))
        await on_screen(pilot, ChoosePool)
        await pilot.press("enter")
        screen = await on_screen(pilot, PlanScreen)
        await until(pilot, lambda: screen.proposal, "the plan")
        screen.query_one("#agree", Button).active_effect_duration = 0.0  # else a second enter is taken for a slip
        await agreed(pilot)
        await ended(pilot)
        await pilot.press("enter")  # the way back
        await until(pilot, lambda: operations.asked[-1] == ("propose", MoveRequest((name,), "decode")), "its plan")
        assert pilot.app.focused is pilot.app.screen.query_one("#cancel")


async def test_a_terminal_that_is_closed_stops_the_run_in_order_first() -> None:
    operations = fleet()
    async with shown(operations) as pilot:
        await plan_of_move(pilot)
        await agreed(pilot)
        the_app(pilot).hang_up()
        await ended(pilot)
        await wait_until(lambda: pilot.app.return_value == 130, 5.0)


async def test_a_cancel_before_the_point_of_no_return_takes_all_back() -> None:
    operations = fleet()
    async with shown(operations) as pilot:
        await plan_of_move(pilot)
        await agreed(pilot)
        await pilot.press("x")
        question = await on_screen(pilot, AskStop)
        assert "nothing was moved yet" in question.meaning
        assert isinstance(pilot.app.focused, Button)
        assert pilot.app.focused.id == "wait"
        await pilot.press("enter")  # go on
        await on_screen(pilot, PlanScreen)
        assert the_app(pilot).runs.under_way
        await pilot.press("x")
        await on_screen(pilot, AskStop)
        await pilot.press("left", "enter")  # round to the last answer
        await ended(pilot)
        assert "stopped" in text(pilot)
        assert "cancelled by the operator" in text(pilot)
        assert the_app(pilot).runs.view is not None


async def test_a_run_goes_on_when_its_screen_is_left_and_leaving_pdctl_asks() -> None:
    operations = fleet()
    async with shown(operations) as pilot:
        await plan_of_move(pilot)
        await agreed(pilot)
        await pilot.press("b")
        await left(pilot)
        assert the_app(pilot).heading().mark == "move 0/4"
        await pilot.press("q")
        await on_screen(pilot, AskStop)
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, AskStop), "the question is gone")
        await pilot.press("R")
        await on_screen(pilot, PlanScreen)
        assert "0 of 4 steps done" in text(pilot)
        operations.go.set()
        operations.go_on.set()
        await ended(pilot)


@pytest.mark.slow
async def test_the_question_about_a_run_can_be_left_with_the_run_going_on() -> None:
    operations = fleet()
    async with shown(operations) as pilot:
        await plan_of_move(pilot)
        await agreed(pilot)
        await pilot.press("escape")
        await on_screen(pilot, AskStop)
        await pilot.press("right", "enter")
        await until(pilot, lambda: len(pilot.app.screen_stack) == 1, "all is left")
        assert the_app(pilot).runs.under_way
        view = the_app(pilot).runs.view
        assert view is not None
        assert not view.stopping
        operations.go.set()
        operations.go_on.set()
        await ended(pilot)


async def test_who_leaves_during_a_run_leaves_after_its_end() -> None:
    operations = fleet()
    async with shown(operations) as pilot:
        await plan_of_move(pilot)
        await agreed(pilot)
        await pilot.press("b")
        await left(pilot)
        await pilot.press("q")
        await on_screen(pilot, AskStop)
        await pilot.press("enter")  # stay
        await until(pilot, lambda: not isinstance(pilot.app.screen, AskStop), "the question is gone")
        await pilot.press("q")
        await on_screen(pilot, AskStop)
        await pilot.press("right", "enter")  # leave after its end
        await until(pilot, lambda: not isinstance(pilot.app.screen, AskStop), "the question is gone")
        assert pilot.app.return_value is None
        operations.go.set()
        operations.go_on.set()
        await the_app(pilot).runs.ended()
        await wait_until(lambda: pilot.app.return_value == 0, 10.0)


async def test_a_failure_keeps_its_hint_and_last_lines_on_the_screen() -> None:
    operations = fleet(fails=True)
    operations.go.set()
    operations.go_on.set()
    async with shown(operations) as pilot:
        await plan_of_move(pilot)
        await agreed(pilot)
        await ended(pilot)
        told = text(pilot)
        for words in ("out of memory", "hint: look at `pdctl logs`", "| HIP out of memory", "exit status 1"):
            assert words in told


async def test_a_refusal_is_said_with_its_hint() -> None:
    operations = fleet(refusal=PlanRefused("decode would fall below its floor", hint="add a node first"))
    async with shown(operations) as pilot:
        await plan_of_move(pilot)
        told = text(pilot)
        assert "decode would fall below its floor" in told
        assert "hint: add a node first" in told
        assert not pilot.app.screen.query_one("#agree", Button).display


async def test_a_protected_cluster_asks_for_its_name() -> None:
    operations = fleet()
    operations.deployment = replace(operations.deployment, protected=True)
    async with shown(operations) as pilot:
        screen = await plan_of_move(pilot)
        agree, field_ = screen.query_one("#agree", Button), screen.query_one("#name", Input)
        assert agree.disabled
        screen.agree()
        assert not the_app(pilot).runs.under_way
        field_.focus()
        await pilot.press(*"dem", "enter")
        assert agree.disabled
        await pilot.press("o", "enter")
        await until(pilot, lambda: pilot.app.focused is agree, "it can be agreed to")
        await pilot.press("enter")
        assert the_app(pilot).runs.under_way
        operations.go.set()
        operations.go_on.set()
        await ended(pilot)


async def test_a_read_only_session_refuses_in_words_and_in_the_screen() -> None:
    operations = fleet(read_only="--read-only")
    async with shown(operations) as pilot:
        await pilot.press("m")
        await pilot.pause()
        assert not isinstance(pilot.app.screen, ChoosePool)
        screen = await plan_of_move(pilot)  # whatever way it was reached
        assert not screen.query_one("#agree", Button).display
        screen.agree()
        assert [name for name, _ in operations.asked if name == "carry_out"] == []


async def test_a_plan_that_hangs_holds_up_no_key() -> None:
    operations = fleet(hang=asyncio.Event())
    async with shown(operations) as pilot:
        await plan_of_move(pilot)
        assert "working out the plan" in text(pilot)
        await pilot.press("escape")
        await left(pilot)
        await pilot.press("1")
        await until(pilot, lambda: pilot.app.current_mode == "pulse", "another view")


@pytest.mark.slow
async def test_a_drain_asks_why() -> None:
    operations = fleet()
    async with shown(operations) as pilot:
        the_app(pilot).begin_change("drain", ("n05",))
        await on_screen(pilot, AskReason)
        await pilot.press(*"dimm", "enter")
        await on_screen(pilot, PlanScreen)
        await until(pilot, lambda: operations.asked, "its plan")
        assert operations.asked[-1] == ("propose", DrainRequest(("n05",), reason="dimm"))
