"""The nodes' table, a node in full and the help as they are, at every breakpoint: what changes is seen in a diff.

`WRITE_GOLDEN=1` writes them anew; look at what changed before you commit it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from pdctl.tui.app import PdctlApp
from pdctl.tui.settings import Settings
from tests.tui.fakes import FakeFeed, FakeOperations
from tests.tui.fleet import START_S, later, snapshot
from tests.tui.screen_text import screen_lines

GOLDEN = Path(__file__).with_name("golden")
TICKS = 12


@dataclass(frozen=True, slots=True)
class Picture:
    """A screen: where it starts, what is pressed, how large it is."""

    name: str
    view: str
    keys: tuple[str, ...] = ()
    size: tuple[int, int] = (80, 24)
    ascii_only: bool = False
    read_only: str = ""

    @property
    def file(self) -> Path:
        return GOLDEN / f"{self.name}.txt"


PICTURES = (
    Picture("nodes-80x24", "nodes"),
    Picture("nodes-160x48", "nodes", size=(160, 48)),
    Picture("nodes-200x60-filtered", "nodes", ("slash", *"pool:decode !ready", "enter"), (200, 60)),
    Picture("nodes-ascii-read-only", "nodes", ascii_only=True, read_only="--read-only"),
    Picture("node-80x24", "nodes", ("enter",)),
    Picture("node-160x48", "nodes", ("enter",), (160, 48)),
    Picture("help-80x24", "nodes", ("question_mark",)),
    Picture("too-small", "pulse", size=(70, 18)),
)


async def drawn(picture: Picture) -> Sequence[str]:
    """The lines of the screen after a dozen ticks and the keys."""
    feed, now = FakeFeed(), START_S
    settings = Settings(timers=False, start=picture.view, ascii_only=picture.ascii_only)
    app = PdctlApp(feed, FakeOperations(read_only=picture.read_only), settings, wall=lambda: now)
    async with app.run_test(size=picture.size) as pilot:
        tick = snapshot(2, 6, hung=(4,), lost=(5,))
        for _ in range(TICKS):
            now = tick.taken_s + 0.4
            await feed.push(tick)
            tick = later(tick)
        await pilot.press(*picture.keys)
        await settled(app)
        return screen_lines(app)


async def settled(app: PdctlApp) -> None:
    """Until two looks at the screen are the same."""
    before: list[str] = []
    async with asyncio.timeout(10.0):
        while (now := screen_lines(app)) != before:
            before = now
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
async def test_the_screen_looks_as_it_is_meant_to(picture: Picture) -> None:
    lines = await drawn(picture)
    width, height = picture.size
    assert len(lines) == height
    assert max(map(len, lines)) <= width
    said = "\n".join(lines) + "\n"
    if os.environ.get("WRITE_GOLDEN"):
        picture.file.write_text(said, encoding="utf-8")
    assert said.splitlines() == picture.file.read_text(encoding="utf-8").splitlines()
