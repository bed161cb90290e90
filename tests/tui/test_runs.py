"""The run under way: it goes on by itself, is stopped in order, and its end is always said."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from pdctl.control.execute import Interrupt
from pdctl.control.request import MoveRequest, Request
from pdctl.errors import LeaseHeld, UsageError
from pdctl.model.events import Event, RunEnded, StepDone, StepStarted
from pdctl.tui.run_view import StepState
from pdctl.tui.runs import Runs
from tests.tui.fakes import FakeOperations
from tests.tui.test_run_view import FENCE, PROPOSAL

REQUEST = MoveRequest(("a",), "decode")


@dataclass
class Slow(FakeOperations):
    """A run that fences, waits until it is told to go on or to stop, and ends."""

    go: asyncio.Event = field(default_factory=asyncio.Event)
    breaks: Exception | None = None
    silent: bool = False

    async def carry_out(self, request: Request, sink: Callable[[Event], None], interrupt: Interrupt) -> int:
        if self.breaks is not None:
            raise self.breaks
        sink(StepStarted(FENCE.id, "fence", "a.main.0", "a", ""))
        tasks = {asyncio.create_task(event.wait()) for event in (self.go, interrupt.asked)}
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        if interrupt.asked.is_set():
            insisted = asyncio.create_task(interrupt.insisted.wait())
            go = asyncio.create_task(self.go.wait())
            await asyncio.wait({insisted, go}, return_when=asyncio.FIRST_COMPLETED)
            go.cancel()
            if insisted.done():
                raise asyncio.CancelledError
            insisted.cancel()
        code = 130 if interrupt.asked.is_set() else 0
        sink(StepDone(FENCE.id, "fence", "a.main.0", 1.0))
        if not self.silent:
            sink(RunEnded("move", code, 1, 0, 2, 1.0, interrupt.reason))
        return code


async def test_a_run_is_seen_as_it_goes_and_ends() -> None:
    operations = Slow()
    runs = Runs(operations)
    shown: list[str] = []
    stop = runs.listen(lambda: shown.append(runs.view.short if runs.view else ""))
    runs.start(PROPOSAL, REQUEST)
    assert runs.under_way
    with pytest.raises(UsageError, match="under way"):
        runs.start(PROPOSAL, REQUEST)
    operations.go.set()
    await runs.ended()
    assert runs.view is not None
    assert (runs.under_way, runs.view.exit_code, runs.view.done) == (False, 0, 1)
    assert shown[0] == "move 0/3"
    assert shown[-1] == "move 1/3"
    stop()
    before = len(shown)
    runs.start(PROPOSAL, REQUEST)
    await runs.ended()
    assert len(shown) == before


async def test_the_first_stop_waits_for_what_is_being_changed() -> None:
    operations = Slow()
    runs = Runs(operations)
    runs.start(PROPOSAL, REQUEST)
    await asyncio.sleep(0)
    runs.stop()
    assert runs.view is not None
    assert (runs.view.stopping, runs.under_way, runs.insisted) == (True, True, False)
    operations.go.set()
    await runs.ended()
    assert (runs.view.exit_code, runs.view.ending) == (130, "cancelled by the operator")


async def test_the_second_stop_waits_for_nothing_and_says_what_is_unknown() -> None:
    runs = Runs(Slow())
    runs.start(PROPOSAL, REQUEST)
    await asyncio.sleep(0)
    runs.stop()
    await asyncio.sleep(0)
    runs.stop()
    await runs.ended()
    assert runs.view is not None
    assert (runs.insisted, runs.view.exit_code) == (True, 130)
    row = runs.view.row(FENCE.id)
    assert row is not None
    assert row.state is StepState.UNKNOWN


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (LeaseHeld("bob@b holds it", hint="wait"), 75, "bob@b holds it (hint: wait)"),
        (KeyError("x"), 1, "internal error"),
    ],
)
async def test_a_run_that_is_refused_or_breaks_never_takes_the_screen_with_it(
    error: Exception, code: int, words: str
) -> None:
    runs = Runs(Slow(breaks=error))
    runs.start(PROPOSAL, REQUEST)
    await runs.ended()
    assert runs.view is not None
    assert runs.view.exit_code == code
    assert words in runs.view.ending


async def test_a_run_without_a_last_word_has_ended_all_the_same() -> None:
    operations = Slow(silent=True)
    operations.go.set()
    runs = Runs(operations)
    runs.start(PROPOSAL, REQUEST)
    await runs.ended()
    assert runs.view is not None
    assert (runs.view.exit_code, runs.view.ending) == (0, "it ended without a word")


def test_nothing_is_stopped_where_nothing_runs() -> None:
    runs = Runs(FakeOperations())
    runs.stop()
    assert (runs.view, runs.under_way) == (None, False)
