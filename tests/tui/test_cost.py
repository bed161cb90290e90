"""What a tick costs, counted in painted lines and kept objects, not in milliseconds."""

from __future__ import annotations

import gc
from importlib.util import find_spec

import psutil
import pytest
from textual.css.stylesheet import Stylesheet

from pdctl.tui.messages import SnapshotReady
from pdctl.tui.screens.nodes import NodesScreen
from pdctl.tui.view_screens import LATER
from tests.tui.advice import ScriptedAdviser
from tests.tui.fakes import FakeFeed, app_over
from tests.tui.fleet import snapshot

SIZE = (160, 50)


async def test_a_tick_of_256_nodes_paints_no_more_lines_than_the_screen_has_and_none_where_nothing_changed() -> None:
    feed = FakeFeed()
    app = app_over(feed, start="nodes")
    async with app.run_test(size=SIZE) as pilot:
        await feed.push(snapshot(64, 192))
        await pilot.pause()
        assert isinstance(app.screen, NodesScreen)
        table = app.screen.fleet
        before = table.painted_lines
        await feed.push(snapshot(64, 192))
        await pilot.pause()
        assert table.painted_lines == before
        await feed.push(snapshot(64, 192, tick=1))
        await pilot.pause()
        assert before < table.painted_lines <= before + SIZE[1]


async def test_a_view_that_is_first_shown_reads_no_style_sheet_anew_unless_the_theme_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[str] = []
    reparse = Stylesheet.reparse

    def counted(sheet: Stylesheet) -> None:
        read.append(app.current_mode)
        reparse(sheet)

    monkeypatch.setattr(Stylesheet, "reparse", counted)
    feed = FakeFeed()
    app = app_over(feed)
    async with app.run_test(size=SIZE) as pilot:
        await feed.push(snapshot(2, 2))
        await pilot.pause()
        read.clear()
        await pilot.press("2", "3", "6")
        assert read == []
        await pilot.press("t")
        await pilot.pause()
        await pilot.press("2")
        assert read


def test_what_keys_lead_to_can_be_imported() -> None:
    assert all(find_spec(name) is not None for name in LATER)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_ten_thousand_ticks_keep_memory_flat() -> None:
    app = app_over(FakeFeed(), start="nodes", adviser=ScriptedAdviser())
    process = psutil.Process()
    async with app.run_test(size=SIZE) as pilot:
        ticks = [snapshot(8, 24, tick=tick) for tick in range(16)]

        async def soak(first: int, count: int) -> tuple[int, int]:
            for number in range(first, first + count):
                app.post_message(SnapshotReady(ticks[number % len(ticks)], app.moment()))
                if number % 4 == 0:
                    await pilot._wait_for_screen()
                if number % 500 == 0:
                    await pilot.press(*("2", "1", "3", "4", "7")[number // 500 % 5])
            await pilot.pause()
            gc.collect()
            return process.memory_info().rss, len(gc.get_objects())

        early_bytes, early_objects = await soak(0, 2_500)  # every view was shown once
        late_bytes, late_objects = await soak(2_500, 7_500)
    assert late_bytes - early_bytes < 8_000_000
    assert late_objects - early_objects < 5_000
