"""Logs on the screen: they follow, stand still, are searched, and never hold up a key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from textual.pilot import Pilot
from textual.widgets import SelectionList

from pdctl.model.observed import Trouble
from pdctl.supervisors.ports import LogLine
from pdctl.tui.app import PdctlApp
from pdctl.tui.log_buffer import LogBuffer
from pdctl.tui.log_level import LogLevel
from pdctl.tui.log_lines import Layout, columns_of, entry_line, lay_out, parts
from pdctl.tui.screens.logs import FLUSH_LINES, ChooseUnits, LogsScreen
from pdctl.tui.spans import plain
from tests.tui.fakes import FakeFeed, FakeOperations, app_over
from tests.tui.fleet import START_S, snapshot
from tests.unit.deployments import r1_2p3d
from tests.waiting import wait_until

A, B = "mi300x-01.all.0", "mi300x-02.all.0"


@dataclass
class Spoken(FakeOperations):
    """Logs that a test says line by line."""

    deployment: object = field(default_factory=lambda: replace(r1_2p3d(), cluster="demo"))  # type: ignore[assignment]
    said: asyncio.Queue[tuple[str, LogLine | Trouble]] = field(default_factory=asyncio.Queue)

    def say(self, unit: str, text: str, at: float | None = None) -> None:
        self.said.put_nowait((unit, LogLine(unit, text, at)))

    async def logs(self, names: Sequence[str], *, lines: int) -> AsyncIterator[tuple[str, LogLine | Trouble]]:
        self.asked.append(("logs", tuple(names)))
        while True:
            yield await self.said.get()


@asynccontextmanager
async def shown(operations: FakeOperations, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Pilot[int]]:
    feed = FakeFeed()
    async with app_over(feed, operations, start="logs").run_test(size=size) as pilot:
        await feed.push(snapshot())
        await pilot.pause()
        yield pilot


def logs_of(pilot: Pilot[int]) -> LogsScreen:
    assert isinstance(pilot.app.screen, LogsScreen)
    return pilot.app.screen


async def arrived(pilot: Pilot[int], count: int) -> None:
    """Wait until so many lines are on the screen's list."""
    await wait_until(lambda: len(logs_of(pilot).panel.buffer) >= count, 5.0)
    await pilot.pause()


def seen(pilot: Pilot[int]) -> str:
    panel = logs_of(pilot).panel
    return "\n".join(panel.render_line(row).text.rstrip() for row in range(panel.size.height))


async def test_lines_of_two_units_come_merged_and_the_newest_is_seen() -> None:
    operations = Spoken()
    async with shown(operations) as pilot:
        the_app = pilot.app
        assert isinstance(the_app, PdctlApp)
        the_app.follow_logs([A, B])
        for number in range(60):
            operations.say((A, B)[number % 2], f"INFO line {number}", START_S + number)
        await arrived(pilot, 60)
        screen = logs_of(pilot)
        assert operations.asked[-1] == ("logs", (A, B))
        assert [entry.text for entry in screen.panel.buffer.shown] == [f"INFO line {number}" for number in range(60)]
        assert "line 59" in seen(pilot)
        assert "line 0" not in seen(pilot)
        assert screen.chip() == "follows"
        assert plain(screen.status_line(80)) == f" {A}, {B}  60 lines"


async def test_a_step_up_pauses_and_says_what_came_since() -> None:
    operations = Spoken()
    async with shown(operations) as pilot:
        for number in range(50):
            operations.say(A, f"INFO line {number}", START_S + number)
        await arrived(pilot, 50)
        await pilot.press("up")
        before = seen(pilot)
        for number in range(50, 60):
            operations.say(A, f"INFO line {number}", START_S + number)
        await arrived(pilot, 60)
        assert seen(pilot) == before
        assert logs_of(pilot).chip() == "paused +10 new"
        await pilot.press("f")
        assert "line 59" in seen(pilot)
        assert logs_of(pilot).chip() == "follows"


async def test_a_reader_stays_where_they_are_while_the_oldest_lines_go() -> None:
    operations = Spoken()
    async with shown(operations) as pilot:
        panel = logs_of(pilot).panel
        panel.buffer = LogBuffer(capacity=100)
        for number in range(100):
            operations.say(A, f"INFO line {number:03}", START_S + number)
        await arrived(pilot, 100)
        panel._go(50)
        await pilot.pause()
        before = seen(pilot).splitlines()
        for number in range(100, 110):
            operations.say(A, f"INFO line {number:03}", START_S + number)
        await wait_until(lambda: panel.buffer.dropped >= 10, 5.0)
        await pilot.pause()
        assert seen(pilot).splitlines() == before


async def test_search_goes_from_match_to_match() -> None:
    operations = Spoken()
    async with shown(operations) as pilot:
        for number in range(40):
            operations.say(A, f"INFO {'lost' if number % 10 == 0 else 'fine'} {number}", START_S + number)
        await arrived(pilot, 40)
        await pilot.press("slash", *"lost", "enter")
        screen = logs_of(pilot)
        assert "/lost 4 of 4" in plain(screen.status_line(80))
        await pilot.press("n")
        assert screen.panel.place == 0
        await pilot.press("N")
        assert screen.panel.place == 30
        await pilot.press("slash", *"never", "enter")
        assert screen.complaint == "nothing holds 'never'"


async def test_levels_are_hidden_and_troubles_are_not() -> None:
    operations = Spoken()
    async with shown(operations) as pilot:
        operations.say(A, "DEBUG a", START_S - 2)
        operations.say(A, "INFO b", START_S - 1)
        operations.say(A, "ERROR c", START_S)
        operations.said.put_nowait((B, Trouble("mi300x-02: no route to host", "is it on?")))
        await arrived(pilot, 4)
        await pilot.press("e", "e", "e")
        panel = logs_of(pilot).panel
        assert panel.buffer.least is LogLevel.ERROR
        assert [entry.text for entry in panel.buffer.shown] == [
            "ERROR c",
            "mi300x-02: no route to host (hint: is it on?)",
        ]
        assert "✖ mi300x-02: no route" in seen(pilot)


async def test_lines_are_copied_with_their_units() -> None:
    operations = Spoken()
    async with shown(operations) as pilot:
        assert isinstance(pilot.app, PdctlApp)
        pilot.app.follow_logs([A, B])
        operations.say(A, "INFO one", START_S)
        operations.say(B, "INFO two", START_S + 1)
        await arrived(pilot, 2)
        await pilot.press("up", "shift+down", "c")
        assert pilot.app.clipboard == f"{A} | INFO one\n{B} | INFO two"


@pytest.mark.slow
async def test_units_are_chosen_from_all_there_are() -> None:
    operations = Spoken()
    async with shown(operations) as pilot:
        await pilot.press("i")
        await pilot.pause()
        question = pilot.app.screen
        assert isinstance(question, ChooseUnits)
        assert question.query_one(SelectionList).option_count == 7
        question.query_one(SelectionList).deselect_all()
        await pilot.press("space", "enter")
        await pilot.pause()
        assert operations.asked[-1] == ("logs", (A,))


async def test_logs_that_hang_hold_up_no_key() -> None:
    operations = FakeOperations(hang=asyncio.Event())
    async with shown(operations) as pilot:
        await pilot.press("1")
        assert pilot.app.current_mode == "pulse"


@pytest.mark.slow
async def test_a_flood_is_taken_in_pieces() -> None:
    operations = Spoken()
    async with shown(operations) as pilot:
        panel, sizes = logs_of(pilot).panel, []
        take = panel.take

        def counted(heard: Sequence[tuple[str, LogLine | Trouble]], heard_s: float) -> None:
            sizes.append(len(heard))
            take(heard, heard_s)

        panel.take = counted  # type: ignore[method-assign]
        for number in range(3000):
            operations.say(A, f"INFO {number}", START_S + number)
        await arrived(pilot, 3000)
        assert max(sizes) <= FLUSH_LINES


def test_wrapped_lines_take_the_rows_that_they_need() -> None:
    buffer = LogBuffer()
    for text in ("short", "x" * 25, "日本語" * 4):
        buffer.add("a", LogLine("a", text), 0.0)
    layout = lay_out(buffer.shown, 10, wrap=True)
    assert layout.rows == sum(len(parts(entry, 10, wrap=True)) for entry in buffer.shown) == 7
    assert [layout.entry_at(row) for row in range(7)] == [(0, 0), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]
    assert layout.row_of(2) == 4
    with pytest.raises(IndexError):
        layout.entry_at(7)
    assert Layout(3).rows == 3


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_a_line_never_is_wider_than_the_screen(width: int) -> None:
    buffer = LogBuffer()
    buffer.add(A, LogLine(A, "ERROR " + "word " * 100, START_S), 0.0)
    columns = columns_of([A, B], times=True, width=width)
    for wrap in (True, False):
        line = entry_line(buffer.shown[0], 0, columns, width, wrap=wrap, found="word")
        assert len(plain(line)) <= width
