"""The terminal over a real (simulated) fleet: a node is moved by keys, a move is cancelled, nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot

from pdctl.cli.global_options import new_run_id
from pdctl.control.execute import Interrupt
from pdctl.control.journal import Session
from pdctl.control.opened import open_cluster
from pdctl.control.status import State
from pdctl.control.up import UpOptions, up
from pdctl.tui.app import PdctlApp
from pdctl.tui.live import LiveFeed, LiveOperations
from pdctl.tui.screens.activity import ActivityScreen
from pdctl.tui.screens.plan import PlanScreen
from pdctl.tui.settings import Settings
from tests.fleet.requests import load_until
from tests.fleet.site import Site, simulated_nodes
from tests.waiting import wait_until

pytestmark = [pytest.mark.fleet, pytest.mark.slow]


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """1P2D of its own: its inventory is changed."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "controller"))
    with simulated_nodes(tmp_path / "fleet", "--layout", "1P2D") as site:
        yield site


@asynccontextmanager
async def terminal(inventory: Path) -> AsyncIterator[tuple[Pilot[int], PdctlApp]]:
    """The app over the cluster of that inventory, which is brought up first."""
    async with open_cluster(inventory) as opened:
        assert await up(opened, UpOptions(), Session(lambda event: None, Interrupt(), new_run_id())) == 0
        feed = LiveFeed(opened.cluster, interval_s=0.5)
        operations = LiveOperations(opened, changed=feed.look_again, new_run=new_run_id)
        app = PdctlApp(feed, operations, Settings(start="nodes", timers=False))
        async with app.run_test(size=(120, 40)) as pilot:
            await seen(lambda: ready(app) == 3, "three engines are seen to serve")
            yield pilot, app


def ready(app: PdctlApp) -> int:
    return 0 if app.shown is None else sum(item.member is True for item in app.shown.instances.values())


async def seen(predicate: Callable[[], object], what: str, deadline_s: float = 30.0) -> None:
    await wait_until(predicate, deadline_s, what=what, poll_s=0.1)


async def plan(pilot: Pilot[int], app: PdctlApp, node: str) -> PlanScreen:
    """`m` on that node's row, the other pool, and its plan."""
    app.begin_change("move", (node,))
    await pilot.press("enter")
    screens = app.screen_stack
    await seen(lambda: isinstance(screens[-1], PlanScreen), "the plan's screen")
    screen = screens[-1]
    assert isinstance(screen, PlanScreen)
    await seen(lambda: screen.proposal or screen.refused, "the plan")
    assert screen.refused is None
    return screen


async def test_a_node_is_moved_by_keys_under_load_and_the_screens_follow(fleet: Site) -> None:
    assert fleet.operator.inventory is not None
    async with terminal(fleet.operator.inventory) as (pilot, app):
        over = False
        load = asyncio.create_task(load_until(fleet.router_url, lambda: over))
        await plan(pilot, app, "n3")
        await pilot.press("tab", "enter")
        await seen(lambda: app.runs.under_way, "it runs")
        await pilot.press("b", "1")  # it goes on whatever is shown
        await app.runs.ended()
        assert app.runs.view is not None
        assert (app.runs.view.exit_code, app.runs.view.done) == (0, len(app.runs.view.rows))
        over = True
        assert (await load).counts.failed == 0
        assert "pool: prefill" in fleet.operator.inventory.read_text()
        assert [slot.pool for slot in app.operations.deployment.slots].count("prefill") == 2
        await seen(lambda: app.shown and app.shown.pools["prefill"].members == 2, "two prefills are seen")
        await pilot.press("6")
        await seen(lambda: isinstance(app.screen, ActivityScreen) and app.screen.fleet.shown_rows, "activity")
        assert isinstance(app.screen, ActivityScreen)
        newest = app.screen.fleet.shown_rows[0]
        assert (newest.what, newest.outcome.value) == ("move n3.main decode -> prefill: moved", "done")
        back = await plan(pilot, app, "n3")  # the next plan sees what the move has made
        assert back.request is not None
        await pilot.press("escape")


async def test_a_move_that_is_cancelled_by_keys_leaves_all_as_it_was(fleet: Site) -> None:
    assert fleet.operator.inventory is not None
    before = fleet.operator.inventory.read_text()
    async with terminal(fleet.operator.inventory) as (pilot, app):
        await plan(pilot, app, "n3")
        await pilot.press("tab", "enter")
        await seen(lambda: app.runs.view and any(row.began_s for row in app.runs.view.rows), "a step has begun")
        await pilot.press("x", "left", "enter")
        await app.runs.ended()
        assert app.runs.view is not None
        assert app.runs.view.exit_code == 130
        assert fleet.operator.inventory.read_text() == before
        now = await app.operations.status()
        assert [view.state for view in now.instances] == [State.SERVING] * 3
