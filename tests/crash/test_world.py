"""The world in which crashes are played: without any fault, commands do in it what they do on real nodes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pdctl.model.unit import ExitEvidence, unit_name
from tests.crash import engines, scenario, virtual_time
from tests.crash.routing import ROUND_S
from tests.crash.world import DEPLOYMENT, World


@pytest.fixture(autouse=True)
def _state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def test_up_restart_down() -> None:
    async def story() -> None:
        async with World.alive() as world:
            up = await world.command(scenario.bring_up)
            assert (up.code, up.failures) == (0, [])
            scenario.assert_serves(world)
            again = await world.command(scenario.bring_up)
            assert (again.code, again.mutations) == (0, [])
            restart = await world.command(scenario.relaunch)
            assert (restart.code, restart.failures) == (0, [])
            scenario.assert_serves(world)
            down = await world.command(scenario.take_down)
            assert (down.code, down.failures) == (0, [])
            scenario.assert_nothing_left(world)
            assert engines.engines(list(world.nodes.values())) == []
            assert world.history.wrongs == []

    virtual_time.run(story())


def test_after_up_the_router_chooses_nobody_who_died_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """However quickly the next launch came up."""
    monkeypatch.setattr(engines, "LOAD_S", 0.1)

    async def story() -> None:
        async with World.alive() as world:
            assert (await world.command(scenario.bring_up)).code == 0
            await asyncio.sleep(2 * ROUND_S)
            name = min(scenario.ENGINES)
            node = world.nodes[name.partition(".")[0]]
            node.end(unit_name(DEPLOYMENT.cluster, name), ExitEvidence(None, "SIGKILL", node.now(), requested=False))
            assert (await world.command(scenario.bring_up)).code == 0
            scenario.assert_serves(world)

    virtual_time.run(story())
