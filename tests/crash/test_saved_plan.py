"""A plan that was saved: done to the letter while nothing has changed, and refused as stale (row 10) when it has."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pdctl.control.journal import Session
from pdctl.control.opened import Opened
from pdctl.control.planning import plan
from pdctl.control.saved_plan import read_plan, save_plan
from pdctl.control.up import UpOptions, up
from pdctl.errors import StalePlan, UsageError
from pdctl.model.unit import UnitState, unit_name
from tests.crash import scenario, virtual_time
from tests.crash.world import DEPLOYMENT, Result, UseCase, World

D1 = DEPLOYMENT.instances[2].name


@pytest.fixture(autouse=True)
def _state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def carries_out(path: Path) -> UseCase:
    async def act(opened: Opened, session: Session) -> int:
        return await up(opened, UpOptions(), session, read_plan(path))

    return act


async def saved_then(world: World, path: Path, between: Callable[[], object]) -> Result:
    """Save a plan, let something happen, carry it out."""

    async def save(opened: Opened, session: Session) -> int:
        save_plan(await plan(opened), path, opened.cluster.clock.time())
        return 0

    assert (await world.command(save)).mutations == []
    between()
    return await world.command(carries_out(path))


def test_a_plan_is_carried_out_while_nothing_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"

    async def story() -> None:
        async with World.alive() as world:
            done = await saved_then(world, path, lambda: None)
            assert (done.code, done.failures) == (0, []), done.trouble
            scenario.assert_serves(world)
            again = await world.command(carries_out(path))
            assert again.code == StalePlan.exit_code and again.mutations == []

    virtual_time.run(story())
    document = json.loads(path.read_text())
    assert (document["kind"], document["version"], document["cluster"]) == ("pdctl-plan", 1, "crash")


def test_a_saved_plan_is_refused_when_the_world_has_changed(tmp_path: Path) -> None:
    """Row 10: it says what changed, and nothing is done."""

    async def story() -> Result:
        async with World.alive() as world:
            assert (await world.command(scenario.bring_up)).code == 0
            node = world.nodes[DEPLOYMENT.instance(D1).leader.node]

            def dies() -> None:
                unit = node.units[unit_name(DEPLOYMENT.cluster, D1)]
                node.units[unit.labels.unit] = replace(unit, state=UnitState.FAILED)

            return await saved_then(world, tmp_path / "plan.json", dies)

    refused = virtual_time.run(story())
    assert (refused.code, refused.mutations) == (1, [])
    assert "stale" in refused.trouble
    assert f"unit {D1}: running of decode" in refused.trouble and "-> failed of decode" in refused.trouble


def test_a_saved_plan_is_refused_when_the_inventory_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"

    async def story() -> None:
        async with World.alive() as world:
            assert (await saved_then(world, path, lambda: None)).code == 0

    virtual_time.run(story())
    with pytest.raises(StalePlan, match="the inventory was edited since"):
        read_plan(path).check_inventory(replace(DEPLOYMENT, digest="another"))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"kind": "pdctl-plan", "version": 2}', "\x00"])
def test_what_is_no_plan_is_a_usage_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(content)
    with pytest.raises(UsageError, match=r"plan\.json is no plan of this pdctl"):
        read_plan(path)


def test_a_plan_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: no such file"):
        read_plan(tmp_path / "plan.json")
