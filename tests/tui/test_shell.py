"""The app around the views: snapshots, modes, refusals, commands; and that nothing which hangs holds up a key."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from textual._callback import invoke
from textual.app import App
from textual.widgets import Static

from pdctl.errors import PdctlError
from pdctl.model.snapshot import Source
from pdctl.tui.app import PdctlApp
from pdctl.tui.awaited import Awaited, AwaitedFeed, AwaitedOperations
from pdctl.tui.lag import LATE_TICKS, Lag
from pdctl.tui.messages import SnapshotReady
from pdctl.tui.palette import palette
from pdctl.tui.screens.base import ViewScreen
from pdctl.tui.screens.help import HelpScreen
from pdctl.tui.screens.node import NodeScreen
from pdctl.tui.screens.nodes import NodesScreen
from pdctl.tui.settings import Settings
from pdctl.tui.widgets.bars import Heading, heading_line
from tests.tui.fakes import STILL, FakeFeed, FakeOperations, app_over
from tests.tui.fleet import START_S, snapshot
from tests.tui.screen_text import screen_lines
from tests.unit.deployments import mori_1p1d


def view(app: App[int]) -> str:
    assert isinstance(app.screen, ViewScreen)
    return app.screen.VIEW


def nodes(app: App[int]) -> NodesScreen:
    assert isinstance(app.screen, NodesScreen)
    return app.screen


def written(directory: Path) -> dict[str, str]:
    """The files there that hold something."""
    return {path.name: text for path in directory.glob("*.csv") if (text := path.read_text())}


async def test_of_many_snapshots_that_wait_only_the_newest_is_handled() -> None:
    app, handled = app_over(FakeFeed(), start="nodes"), []

    def hook(message: object) -> None:
        if isinstance(message, SnapshotReady):
            handled.append(message.snapshot.seq)

    async with app.run_test(message_hook=hook) as pilot:
        for tick in range(50):
            app.post_message(SnapshotReady(snapshot(tick=tick), app.moment()))
        await pilot.pause()
        assert app.latest is not None
        assert app.latest.seq == 49
        assert len(set(handled)) < 10


async def test_a_view_that_is_not_seen_does_nothing_and_catches_up_when_it_is() -> None:
    feed = FakeFeed()
    app = app_over(feed, start="nodes")
    async with app.run_test() as pilot:
        await feed.push(snapshot(1, 1))
        await pilot.pause()
        behind = nodes(app)
        await pilot.press("1")
        await feed.push(snapshot(1, 4, tick=5))
        await pilot.pause()
        assert view(app) == "pulse"
        assert behind.seen is not None
        assert behind.seen.seq == 0
        await pilot.press("2")
        await pilot.pause()
        assert behind.seen.seq == 5
        assert len(behind.table.shown_rows) == 5


async def test_the_first_line_says_whose_figures_how_old_and_how_many_alerts() -> None:
    feed = FakeFeed()
    app = app_over(feed, start="nodes")
    async with app.run_test() as pilot:
        assert "nothing seen yet" in screen_lines(app)[0]
        await feed.push(snapshot(1, 2, hung=(2,)))
        await pilot.pause()
        line = screen_lines(app)[0]
        assert "pdctl demo" in line
        assert "live 1.0s" in line
        assert "1 alert" in line
        app.wall = lambda: START_S + 75.0
        nodes(app).take(None)
        await pilot.pause()
        assert "▲ live 1m15s" in screen_lines(app)[0]
        await feed.fail(PdctlError("the figures broke off"))
        await pilot.pause()
        assert "the figures broke off" in screen_lines(app)[0]


@pytest.mark.parametrize("key", ["m", "d", "u", "r"])
async def test_where_nothing_may_be_changed_a_key_is_refused_and_says_so(key: str) -> None:
    feed, operations = FakeFeed(), FakeOperations(read_only="--read-only")
    app = app_over(feed, operations, start="nodes")
    async with app.run_test(notifications=True) as pilot:
        await feed.push(snapshot())
        await pilot.press(key)
        await pilot.pause()
        assert view(app) == "nodes"
        assert operations.asked == []
        assert any("refused: --read-only" in note.message for note in app._notifications)
        assert "[RO]" in screen_lines(app)[0]


async def test_a_key_of_the_operators_file_takes_the_place_of_the_registrys() -> None:
    feed = FakeFeed()
    app = app_over(feed, start="nodes", settings=replace(STILL, keymap={"go_pulse": ("P",), "rows": ("x",)}))
    async with app.run_test() as pilot:
        await feed.push(snapshot())
        await pilot.press("1")
        assert view(app) == "nodes"
        await pilot.press("x")
        assert nodes(app).plural() == "slots"
        await pilot.press("P")
        assert view(app) == "pulse"


async def test_a_filter_is_typed_told_where_it_is_wrong_and_left() -> None:
    feed = FakeFeed()
    app = app_over(feed, start="nodes")
    async with app.run_test() as pilot:
        await feed.push(snapshot(2, 6))
        await pilot.press("slash", *"pool:dec")
        await pilot.pause()
        assert len(nodes(app).table.shown_rows) == 6
        assert "6 of 8  /pool:dec" in screen_lines(app)[1]
        await pilot.press(*" x>")
        await pilot.pause()
        assert "column 10: there is no column 'x'" in screen_lines(app)[1]
        await pilot.press("escape")
        await pilot.pause()
        assert len(nodes(app).table.shown_rows) == 8
        assert nodes(app).focused is nodes(app).table


async def test_commands_lead_to_views_with_a_filter_and_tell_their_mistakes() -> None:
    feed = FakeFeed()
    app = app_over(feed)
    async with app.run_test() as pilot:
        await feed.push(snapshot(2, 6))
        await pilot.press("colon", *"nodes pool:pre", "enter")
        await pilot.pause()
        assert len(nodes(app).table.shown_rows) == 2
        await pilot.press("colon", *"zzz", "enter")
        await pilot.pause()
        assert "no command 'zzz'" in screen_lines(app)[1]
        await pilot.press("escape")
        await pilot.pause()
        assert "2 of 8  /pool:pre" not in screen_lines(app)[1]
        assert "Health" in screen_lines(app)[1]
        await pilot.press("colon", *"zzz", "enter")
        await pilot.press("1", "2")
        await pilot.pause()
        assert "Health" in screen_lines(app)[1]


def test_a_live_cluster_that_was_gone_back_in_is_not_called_a_recording() -> None:
    seen = replace(snapshot(1, 1), source=Source.RECORDING)
    for past, word in ((True, "past  3m back"), (False, "recording  3m back")):
        heading = Heading("prod", seen, 180.0, "", mark="3m back", past=past)
        assert word in heading_line(heading, palette({}), 80).text


async def test_enter_opens_a_node_escape_leaves_it_and_help_is_of_the_screen_under_it() -> None:
    feed = FakeFeed()
    app = app_over(feed, start="nodes")
    async with app.run_test() as pilot:
        await feed.push(snapshot(1, 2))
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, NodeScreen)
        assert app.screen.subject() == "n01"
        await pilot.press("question_mark")
        await pilot.pause()
        assert isinstance(app.screen, HelpScreen)
        assert app.screen.scope == "node"
        await pilot.press("escape", "escape")
        assert view(app) == "nodes"


async def test_y_copies_the_command_that_shows_the_same() -> None:
    feed = FakeFeed()
    app = app_over(feed, start="nodes")
    async with app.run_test() as pilot:
        await feed.push(snapshot(1, 1))
        await pilot.press("y")
        assert app.clipboard == "pdctl status n01"


async def test_a_table_is_written_as_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    feed = FakeFeed()
    app = app_over(feed, start="nodes")
    async with app.run_test() as pilot:
        await feed.push(snapshot(1, 2))
        await pilot.press("ctrl+s")
        async with asyncio.timeout(5.0):
            while not written(tmp_path):
                await pilot.pause()
    ((name, text),) = written(tmp_path).items()
    assert name.startswith("pdctl-demo-nodes-")
    assert text.splitlines()[0].startswith("node,state,pool")
    assert len(text.splitlines()) == 4


async def test_the_palette_has_every_action_of_the_screen_and_refuses_what_is_refused() -> None:
    operations = FakeOperations(read_only="--read-only")
    app = app_over(FakeFeed(), operations, start="nodes")
    async with app.run_test(notifications=True) as pilot:
        commands = {command.title: command for command in app.get_system_commands(app.screen)}
        assert {"Pulse", "Move", "Filter", "Theme", "Quit"} <= set(commands)
        assert "pdctl move" in commands["Move"].help
        for title in ("Move", "KV"):
            await invoke(commands[title].callback)
            await pilot.pause()
        assert any("Move is refused" in note.message for note in app._notifications)
        assert operations.asked == []
        assert view(app) == "matrix"


async def test_below_its_least_size_the_screen_says_so() -> None:
    app = app_over(FakeFeed(), start="nodes")
    async with app.run_test(size=(60, 15)) as pilot:
        await pilot.pause()
        assert any("Terminal too small: 60x15" in line for line in screen_lines(app))
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert not any("too small" in line for line in screen_lines(app))


async def test_operations_that_hang_and_a_feed_that_is_silent_hold_up_no_key() -> None:
    feed, operations = FakeFeed(), FakeOperations(hang=asyncio.Event())
    app = app_over(feed, operations, start="nodes")
    async with app.run_test() as pilot:
        await feed.push(snapshot(2, 4, hung=(3,)))
        await pilot.press("enter")  # asks for units, which hangs
        await pilot.pause()
        assert ("status", None) in operations.asked
        for key, leads_to in (("escape", "nodes"), ("4", "health"), ("6", "activity"), ("5", "logs"), ("1", "pulse")):
            async with asyncio.timeout(3.0):
                await pilot.press(key)
            assert view(app) == leads_to


async def test_themes_change_every_line_and_ascii_has_no_other_character() -> None:
    feed = FakeFeed()
    app = app_over(feed, start="nodes", settings=Settings(timers=False, ascii_only=True, theme="nothing-like-it"))
    async with app.run_test() as pilot:
        await feed.push(snapshot(2, 4, hung=(3,), lost=(4,)))
        await pilot.pause()
        assert app.theme == "pdctl-dark"
        ground = app.look.base.bgcolor
        assert all(line.isascii() for line in screen_lines(app))
        await pilot.press("t")
        await pilot.pause()
        assert app.theme == "pdctl-light"
        assert app.look.base.bgcolor != ground


async def test_the_rate_goes_by_keys_and_down_by_itself_where_the_terminal_lags() -> None:
    feed = FakeFeed()
    app = app_over(feed)
    async with app.run_test() as pilot:
        await pilot.press("minus")
        assert feed.interval_s == 2.0
        await pilot.press("plus", "plus")
        assert feed.interval_s == 0.5
        for _ in range(LATE_TICKS):
            app.post_message(SnapshotReady(snapshot(), app.moment() - 3.0))
            await pilot.pause()
        assert feed.interval_s == 1.0


def test_one_late_snapshot_is_no_slow_terminal() -> None:
    lag = Lag()
    assert not any(lag.slower(waited_s, 1.0) for waited_s in [2.0, 2.0, 2.0, 0.0] * 5)


async def test_a_cluster_that_is_still_being_made_tells_how_far_it_is() -> None:
    awaited, feed = Awaited(), FakeFeed()
    operations = AwaitedOperations(awaited, mori_1p1d())
    app = PdctlApp(AwaitedFeed(awaited, 2.0), operations, STILL, wall=lambda: START_S)
    async with app.run_test() as pilot:
        app.announce("up: 3 of 9 steps", ("done  n1: start",))
        await pilot.pause()
        assert "up: 3 of 9 steps" in screen_lines(app)[0]
        assert "n1: start" in str(app.screen.query_one("#story", Static).render())
        with pytest.raises(PdctlError, match="still being started"):
            await operations.status()
        awaited.come(feed, FakeOperations(read_only="--read-only"))
        await feed.push(snapshot())
        await pilot.pause()
        assert feed.interval_s == 2.0
        assert operations.read_only == "--read-only"
        assert not app.screen.has_class("waiting")
