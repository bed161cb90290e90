"""A change by keys: chosen, shown as a plan, agreed to or not, watched, cancelled, refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from textual.command import CommandPalette
from textual.pilot import Pilot
from textual.widgets import Button, Input, OptionList

from pdctl.control.execute import Interrupt
from pdctl.control.proposal import Dip, Expected, Proposal
from pdctl.control.request import DrainRequest, MoveRequest, Request
from pdctl.errors import PlanRefused
from pdctl.model.events import Event, RunEnded, StepDone, StepFailed, StepSkipped, StepStarted
from pdctl.plan.steps import Action, Plan, Step
from pdctl.tui.app import PdctlApp
from pdctl.tui.screens.ask import AskReason, AskStop, ChoosePool
from pdctl.tui.screens.help import HelpScreen
from pdctl.tui.screens.plan import PlanScreen
from pdctl.tui.spans import plain
from tests.tui.fakes import STILL, FakeFeed, FakeOperations, app_over
from tests.tui.fleet import snapshot
from tests.tui.patience import on_screen, until
from tests.unit.deployments import r1_2p3d
from tests.waiting import wait_until

NAME = "n05.main.0"
STEPS = tuple(
    Step(action, NAME, "n05", "to move") for action in (Action.FENCE, Action.DRAIN, Action.STOP, Action.START)
)
PROPOSAL = Proposal(
    Plan("move", (), STEPS),
    ("pdctl", "move", "n05", "--to", "prefill"),
    dips=(Dip("prefill", 2, 2, 3, 1), Dip("decode", 3, 2, 2, 1)),
    expected={STEPS[0].id: Expected(1.0, 2.0, "settings"), STEPS[1].id: Expected(2.0, None, "settings")},
    warnings=("decode will be busy",),
    effect="TTFT p99 falls by a third",
    no_return=frozenset({STEPS[2].id}),
)


@dataclass
class Fleet(FakeOperations):
    """A move that goes on when it is told to: `go` for what is before the point of no return, `go_on` for the rest."""

    go: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    fails: bool = False

    async def carry_out(self, request: Request, sink: Callable[[Event], None], interrupt: Interrupt) -> int:
        self.asked.append(("carry_out", request))
        done = 0
        for place, step in enumerate(STEPS):
            if interrupt.asked.is_set():
                sink(StepSkipped(step.id, step.action.value, NAME, interrupt.reason))
                continue
            sink(StepStarted(step.id, step.action.value, NAME, "n05", ""))
            await first_of(self.go if place < 2 else self.go_on, interrupt.asked)
            if place == 3 and self.fails:
                hint = "look at `pdctl logs`"
                sink(
                    StepFailed(
                        step.id, "start", NAME, "n05", "out of memory", hint, 1, last_lines=("HIP out of memory",)
                    )
                )
            else:
                sink(StepDone(step.id, step.action.value, NAME, 1.0))
                done += 1
        code = 130 if interrupt.asked.is_set() else 1 if self.fails else 0
        sink(RunEnded("move", code, done, int(self.fails), len(STEPS) - done, 4.0, interrupt.reason))
        return code


async def first_of(*events: asyncio.Event) -> None:
    tasks = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


def fleet(**fields: object) -> Fleet:
    """Operations on 2P3D, the cluster of the snapshots by its name."""
    deployment = r1_2p3d()
    return Fleet(deployment=replace(deployment, cluster="demo"), proposal=PROPOSAL, **fields)  # type: ignore[arg-type]


@asynccontextmanager
async def shown(operations: FakeOperations, size: tuple[int, int] = (100, 30)) -> AsyncIterator[Pilot[int]]:
    feed = FakeFeed()
    app = app_over(feed, operations, start="nodes")
    async with app.run_test(size=size) as pilot:
        await feed.push(snapshot())
        await pilot.pause()
        yield pilot


def the_app(pilot: Pilot[int]) -> PdctlApp:
    assert isinstance(pilot.app, PdctlApp)
    return pilot.app


def text(pilot: Pilot[int]) -> str:
    screen = pilot.app.screen
    assert isinstance(screen, PlanScreen)
    return "\n".join(plain(line) for line in screen.lines(100))


async def plan_of_move(pilot: Pilot[int]) -> PlanScreen:
    """`m`, and the pool that is not the row's."""
    the_app(pilot).begin_change("move", ("n05",))
    await on_screen(pilot, ChoosePool)
    await pilot.press("enter")
    screen = await on_screen(pilot, PlanScreen)
    operations = the_app(pilot).operations
    if not (isinstance(operations, FakeOperations) and operations.hang):
        await until(pilot, lambda: screen.proposal or screen.refused, "the plan")
    return screen


async def agreed(pilot: Pilot[int]) -> None:
    """The key beside Cancel."""
    await pilot.press("tab", "enter")
    await until(pilot, lambda: the_app(pilot).runs.view, "the run has begun")


async def ended(pilot: Pilot[int]) -> None:
    await the_app(pilot).runs.ended()
    await pilot.pause()


async def left(pilot: Pilot[int]) -> None:
    """The plan's screen is gone."""
    await until(pilot, lambda: not isinstance(pilot.app.screen, PlanScreen), "the plan is left")


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
