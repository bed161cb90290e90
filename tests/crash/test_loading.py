"""Engines that load for long: neither `down` nor `restart` waits for requests that they cannot have."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from tests.crash import engines, scenario, virtual_time
from tests.crash.wire import Wire
from tests.crash.world import DEPLOYMENT, World

LOAD_S = 3600.0


@pytest.fixture(autouse=True)
def _slow_engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(engines, "LOAD_S", LOAD_S)


async def killed_while_loading(world: World) -> None:
    """An `up` that is killed when it has started everything."""
    wire = Wire()
    running = asyncio.create_task(world.command(scenario.bring_up, wire))
    await asyncio.sleep(10)
    wire.dead = True
    assert (await running).code is None
    assert len(world.history.starts) == len(scenario.OURS)


def test_down_of_loading_engines_does_not_wait_for_them() -> None:
    async def story() -> float:
        async with World.alive() as world:
            await killed_while_loading(world)
            began = asyncio.get_running_loop().time()
            down = await world.command(scenario.take_down)
            assert (down.code, down.failures) == (0, [])
            scenario.assert_nothing_left(world)
            return asyncio.get_running_loop().time() - began

    assert virtual_time.run(story()) < 30


def test_up_adopts_loading_engines() -> None:
    async def story() -> None:
        async with World.alive() as world:
            await killed_while_loading(world)
            launched = list(world.history.starts)
            rerun = asyncio.create_task(world.command(scenario.bring_up))
            await asyncio.sleep(30)
            engines.LOAD_S = 0.0  # all are up now
            assert (await rerun).code == 0
            assert world.history.starts == launched
            scenario.assert_serves(world)

    virtual_time.run(story())


async def log_on(world: World) -> None:
    """What engines that load weights do: a line now and then."""
    while True:
        for node in world.nodes.values():
            for name, unit in node.units.items():
                node.units[name] = replace(unit, log_bytes=unit.log_bytes + 80)
        await asyncio.sleep(20)


def test_an_engine_that_loads_slowly_but_shows_progress_is_waited_for() -> None:
    async def story() -> None:
        engines.LOAD_S = 10 * DEPLOYMENT.budgets.ready_s
        async with World.alive() as world:
            logging = asyncio.create_task(log_on(world))
            up = await world.command(scenario.bring_up)
            logging.cancel()
            assert (up.code, up.failures) == (0, [])
            scenario.assert_serves(world)

    virtual_time.run(story())


def test_an_engine_that_stays_silent_fails_after_the_ready_budget() -> None:
    async def story() -> None:
        async with World.alive() as world:
            up = await world.command(scenario.bring_up)
            assert up.code == 3
            silent = [each for each in up.failures if "no answer on /health" in each]
            assert len(silent) == len(scenario.ENGINES)

    virtual_time.run(story())
