"""A restart of all that fails half-way: what was restarted before serves with what still runs as it did."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdctl.model.unit import ExitEvidence, unit_name
from tests.crash import scenario, virtual_time
from tests.crash.world import DEPLOYMENT, World

BROKEN = "n3.main.0"
KEPT = ("n4.main.0", "n5.main.0")
"""Decodes are replaced one after the other: these come after the one that fails."""


@pytest.fixture(autouse=True)
def _state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def test_prefills_are_registered_with_the_decodes_that_were_left_alone() -> None:
    async def story() -> None:
        async with World.alive() as world:
            assert (await world.command(scenario.bring_up)).code == 0
            before = dict(world.routing.members)
            world.nodes["n3"].ends_at_once[BROKEN] = ExitEvidence(1, None, 0.0, requested=False)
            restart = await world.command(scenario.relaunch)
            assert restart.code == 3
            assert restart.failures and all(BROKEN in failure for failure in restart.failures)
            after = world.routing.members
            assert set(after) == scenario.ENGINES - {BROKEN}
            for name in scenario.ENGINES - {BROKEN}:
                kept = name in KEPT
                assert (after[name].generation == before[name].generation) is kept, name
            nodes = {name: world.nodes[name.partition(".")[0]] for name in KEPT}
            assert all(unit_name(DEPLOYMENT.cluster, name) in node.units for name, node in nodes.items())
            scenario.assert_nothing_wrong(world)

    virtual_time.run(story())
