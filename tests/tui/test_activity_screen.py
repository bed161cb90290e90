"""Activity on the screen: what was done, by whom, and what cannot be read is said with the age of what is shown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from textual.pilot import Pilot

from pdctl.errors import Unreachable
from pdctl.tui.activity_columns import run_lines
from pdctl.tui.activity_view import runs
from pdctl.tui.ports import Activity
from pdctl.tui.screens.activity import ActivityScreen, RunScreen
from pdctl.tui.spans import plain
from tests.tui.fakes import FakeFeed, FakeOperations, app_over
from tests.tui.fleet import START_S, snapshot
from tests.tui.patience import on_screen, until
from tests.tui.test_activity_view import ended, step

JOURNAL = (
    step("planned"),
    step("step_started"),
    step("step_failed", cause="no route", hint="is it on?"),
    ended(1, 0, 1),
)


@asynccontextmanager
async def shown(operations: FakeOperations, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Pilot[int]]:
    feed = FakeFeed()
    async with app_over(feed, operations, start="activity").run_test(size=size) as pilot:
        await feed.push(snapshot())
        await pilot.pause()
        yield pilot


async def test_a_run_is_a_row_and_enter_shows_its_steps() -> None:
    async with shown(FakeOperations(journal=Activity(JOURNAL))) as pilot:
        screen = await on_screen(pilot, ActivityScreen)
        await until(pilot, lambda: screen.fleet.shown_rows, "the journal was read")
        assert [(run.what, run.outcome.value) for run in screen.fleet.shown_rows] == [("move a.main.0", "failed")]
        assert screen.chip() == "1 run"
        await pilot.press("enter")
        run = await on_screen(pilot, RunScreen)
        assert run.command() == f"pdctl events --run {run.record.run}"
        await pilot.press("escape")
        await on_screen(pilot, ActivityScreen)


async def test_what_cannot_be_read_anew_stays_with_its_age() -> None:
    operations = FakeOperations(journal=Activity(JOURNAL))
    async with shown(operations) as pilot:
        screen = await on_screen(pilot, ActivityScreen)
        await until(pilot, lambda: screen.fleet.shown_rows, "the journal was read")
        operations.journal = Activity((), "mi300x-01: no route to host")
        screen.pdctl.wall = lambda: START_S + 43.0
        screen.read()
        await until(pilot, lambda: screen.trouble, "it was tried again")
        assert len(screen.fleet.shown_rows) == 1
        assert screen.notice_text() == "not read: mi300x-01: no route to host; what is shown is 42s old"
        assert "▲ not read: mi300x-01" in screen.notice.render_line(0).text


async def test_a_journal_that_hangs_or_breaks_holds_up_no_key() -> None:
    operations = FakeOperations(hang=asyncio.Event())
    async with shown(operations) as pilot:
        screen = await on_screen(pilot, ActivityScreen)
        assert screen.chip() == "reading the journal"
        await pilot.press("1")
        await until(pilot, lambda: pilot.app.current_mode == "pulse", "another view")


class Broken(FakeOperations):
    """Its lease node is gone."""

    async def activity(self, lines: int) -> Activity:
        raise Unreachable("n01", "connection refused")


async def test_a_lease_node_out_of_reach_is_said() -> None:
    async with shown(Broken()) as pilot:
        screen = await on_screen(pilot, ActivityScreen)
        await until(pilot, lambda: screen.trouble, "it was tried")
        assert screen.notice_text() == "not read: n01: connection refused"


def test_the_steps_of_a_run_fit_the_screen() -> None:
    (run,) = runs(JOURNAL, now_s=0.0)
    told = [plain(line) for line in run_lines(run, 78)]
    assert all(len(line) <= 78 for line in told)
    text = "\n".join(told)
    for words in ("failed", "ann@desk", "no route", "hint: is it on?"):
        assert words in text


def test_where_there_is_room_no_action_is_cut() -> None:
    long = {**step("step_done"), "action": "completion through the router"}
    (run,) = runs((long, ended(0, 1, 0)), now_s=START_S)
    assert any("completion through the router  a.main.0" in plain(line) for line in run_lines(run, 158))
    assert all(len(plain(line)) <= 78 for line in run_lines(run, 78))
