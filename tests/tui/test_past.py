"""Wherever one goes in a recording, charts begin with what was before."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from pdctl.model.snapshot import Snapshot
from pdctl.tui.history import SPAN_S, History
from pdctl.tui.past import before, recall
from tests.tui.fakes import FakeFeed, app_over
from tests.tui.fleet import START_S, exact, later, snapshot

REQUESTS = ("router", "", "requests")


@dataclass
class Tape:
    """A snapshot every second, whose router counts the seconds."""

    seconds: int
    read: int = 0

    @property
    def times(self) -> tuple[float, ...]:
        return tuple(START_S + second for second in range(self.seconds))

    def snapshot(self, place: int) -> Snapshot:
        self.read += 1
        tick = later(snapshot(1, 1), seconds=float(place))
        return replace(tick, router=replace(tick.router, requests=exact(float(place))))


@pytest.mark.parametrize(("at", "count", "read"), [(0, 10, 0), (5, 10, 5), (100, 10, 10), (5000, 180, 180)])
def test_what_is_read_is_bounded_and_near_comes_first(at: int, count: int, read: int) -> None:
    tape = Tape(5001)
    found = [tick.taken_s for tick in before(tape, START_S + at, count=count)]
    assert len(found) == tape.read == read
    assert found == sorted(found, reverse=True)
    assert all(START_S + at - SPAN_S <= taken < START_S + at for taken in found)


def rising(history: History, *, columns: int, step_s: int) -> bool:
    """Whether every column is known, and more than the one before."""
    values = [value for value in history.series(REQUESTS, columns, step_s) if value is not None]
    return len(values) == columns and values == sorted(values) and values[0] < values[-1]


async def test_the_past_is_there_and_the_present_stays_where_it_is() -> None:
    tape, history = Tape(300), History()
    history.add(tape.snapshot(200))
    assert history.elsewhere(START_S + 200.0) and not history.elsewhere(START_S + 201.0)
    await recall(history, before(tape, START_S + 200.0))
    assert history.series(REQUESTS, 4, 1)[-1] == 200.0
    assert rising(history, columns=15, step_s=10)
    assert history.known_s == 200  # every other second, back to the first


async def test_a_place_that_is_gone_to_brings_its_past() -> None:
    tape, feed = Tape(600), FakeFeed()
    app = app_over(feed)
    app.past = lambda taken_s: before(tape, taken_s)
    async with app.run_test(size=(80, 24)):
        for place in (50, 51, 500):
            await feed.push(tape.snapshot(place))
            if recalls := [worker for worker in app.workers if worker.group == "past"]:
                await app.workers.wait_for_complete(recalls)
        assert rising(app.history, columns=8, step_s=60)
        assert app.history.series(REQUESTS, 1, 1) == (500.0,)
