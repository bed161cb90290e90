"""`export --follow`: Prometheus is told of every launch anew, and no engine is dropped because its node is silent."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

import pdctl.control.export as room
from pdctl.control.cluster import Cluster
from pdctl.control.export import TARGETS_FILE, Exported, follow_targets
from pdctl.control.observe import observe
from pdctl.model.observed import Observed, Trouble
from tests.crash import scenario, virtual_time
from tests.crash.wire import Wire
from tests.crash.world import World


@pytest.fixture(autouse=True)
def _state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def test_targets_follow_every_launch_and_outlast_a_node_that_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away: dict[str, Trouble] = {}

    async def seen(cluster: Cluster, **_: Any) -> Observed:
        found = await observe(cluster)
        nodes = {name: view for name, view in found.nodes.items() if name not in away}
        return Observed(nodes, dict(away), found.membership)

    def listed() -> dict[str, str]:
        groups = json.loads((tmp_path / TARGETS_FILE).read_text())
        return {group["labels"]["pdctl_instance"]: group["targets"][0] for group in groups}

    async def story() -> None:
        async with World.alive() as world:
            assert (await world.command(scenario.bring_up)).code == 0
            monkeypatch.setattr(room, "observe", seen)
            told: list[Exported] = []

            async def follow() -> None:
                async for exported in follow_targets(world._opened(Wire()).cluster, tmp_path):
                    told.append(exported)  # noqa: PERF401 (looked at while it grows)

            task = asyncio.create_task(follow())
            await asyncio.sleep(60.0)
            first = listed()
            assert set(first) == scenario.ENGINES
            assert len(told) == 1, "nothing changed"
            away["n4"] = Trouble("no route to it")
            await asyncio.sleep(60.0)
            assert listed() == first
            assert [list(each.unasked) for each in told[1:]] == [["n4"]], "it is said once"
            away.clear()
            assert (await world.command(scenario.relaunch)).code == 0
            await asyncio.sleep(60.0)
            assert set(listed()) == scenario.ENGINES
            assert not set(listed().values()) & set(first.values()), "every launch has ports of its own"
            task.cancel()
            await asyncio.wait({task})

    virtual_time.run(story())
