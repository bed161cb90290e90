"""Whole screens as they are, at the smallest size and at a wide one: what changes on them is seen in a diff.

`WRITE_GOLDEN=1` writes them anew; look at what changed before you commit it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pdctl.model.snapshot import PairState, Snapshot
from pdctl.tui.settings import Settings
from tests.tui.fakes import STILL, FakeFeed, FakeOperations, app_over
from tests.tui.fleet import snapshot
from tests.tui.screen_text import screen_lines
from tests.tui.test_health import REPORT

GOLDEN = Path(__file__).parent / "golden"
WRITE = "WRITE_GOLDEN"
TICKS = 40


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Clocks on the screen are local."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def well(tick: int) -> Snapshot:
    return replace(snapshot(2, 3, tick=tick), bottleneck="")


def troubled(tick: int) -> Snapshot:
    """One decode engine hangs, a prefill's node is lost, a pair is suspect."""
    found = snapshot(4, 6, tick=tick, hung=(6,), lost=(2,))
    odd = replace(
        found.pairs[0], state=PairState.SUSPECT, why="its text for the same prompt is not that of 5 of 6 pairs"
    )
    return replace(found, pairs=(odd, *found.pairs[1:]))


CASES = {
    "pulse": ("pulse", well, STILL),
    "pulse-troubled": ("pulse", troubled, STILL),
    "pulse-ascii": ("pulse", troubled, replace(STILL, ascii_only=True)),
    "matrix": ("matrix", troubled, STILL),
    "health": ("health", troubled, STILL),
}


@pytest.mark.parametrize("size", [(80, 24), (160, 48)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("case", CASES)
async def test_the_screen_is_as_it_was(case: str, size: tuple[int, int]) -> None:
    view, fleet, settings = CASES[case]
    lines = await lines_of(view, [fleet(tick) for tick in range(TICKS)], settings, size)
    path = GOLDEN / f"{case}-{size[0]}x{size[1]}.txt"
    if os.environ.get(WRITE):
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert lines == path.read_text(encoding="utf-8").splitlines()


async def lines_of(view: str, ticks: list[Snapshot], settings: Settings, size: tuple[int, int]) -> list[str]:
    feed = FakeFeed()
    app = app_over(feed, FakeOperations(report=REPORT), start=view, settings=settings)
    async with app.run_test(size=size) as pilot:
        for tick in ticks:
            await feed.push(tick)
        if checks := [worker for worker in app.workers if worker.group == "check"]:
            await app.workers.wait_for_complete(checks)
        await pilot.pause()
        return screen_lines(app)
