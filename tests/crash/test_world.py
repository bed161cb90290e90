"""The world in which crashes are played: without any fault, commands do in it what they do on real nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash import scenario, virtual_time
from tests.crash.engines import engines
from tests.crash.world import World


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
            assert engines(list(world.nodes.values())) == []
            assert world.history.wrongs == []

    virtual_time.run(story())
