"""Healing where the node of a dead engine is not fit to start it: nothing is relaunched, and nothing is held for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pdctl.control.cluster import Cluster
from pdctl.control.heal import AGAIN_S, Healer
from pdctl.control.history import Record
from pdctl.control.hold_record import HoldRecord
from pdctl.control.journal import Session
from pdctl.control.opened import Opened
from pdctl.health.envelope import Envelope
from pdctl.model.check_policy import CheckPolicy
from pdctl.model.unit import ExitEvidence, unit_name
from pdctl.ssh.fake import FakeShell, FakeShells
from tests.crash import scenario, virtual_time
from tests.crash.test_gate import BROKEN, HEALTHY, answers, known
from tests.crash.world import DEPLOYMENT, World

__all__ = ["known"]  # the fixture
D1 = DEPLOYMENT.instances[2]


@pytest.fixture(autouse=True)
def _state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


class Watcher:
    """One watcher that lives on; the nodes in `broken` have memory errors."""

    def __init__(self, world: World, known: Mapping[str, Envelope]) -> None:
        self._world, self._known = world, known
        self._healer: Healer | None = None
        self.broken: set[str] = set()

    async def _read(self, cluster: Cluster, lines: int) -> Record:
        entries = tuple(map(dict, self._world.journal[-lines:]))
        return Record(entries, self._world.applied, holds=HoldRecord(self._world.holds))

    async def look(self, opened: Opened, session: Session) -> int:
        shells = {name: FakeShell(name) for name in DEPLOYMENT.nodes}
        for name, shell in shells.items():
            shell.answer(["python3"], reply=answers(self._known[BROKEN if name in self.broken else HEALTHY]))
        deployment = replace(DEPLOYMENT, checks=CheckPolicy())
        cluster = replace(opened.cluster, deployment=deployment, shells=FakeShells(shells))
        self._healer = self._healer or Healer(session, self._read)
        await self._healer.look(Opened(cluster, opened.inventory))
        return 0


def test_an_engine_that_may_not_start_is_neither_called_relaunched_nor_quarantined(
    known: Mapping[str, Envelope],
) -> None:
    async def story() -> None:
        async with World.alive() as world:
            assert (await world.command(scenario.bring_up)).code == 0
            node = world.nodes[D1.leader.node]
            unit = node.units[unit_name(DEPLOYMENT.cluster, D1.name)].labels.unit
            node.end(unit, ExitEvidence(None, "SIGKILL", node.now(), requested=False))
            watcher = Watcher(world, known)
            watcher.broken = {D1.leader.node}
            for _ in range(3):
                seen = await world.command(watcher.look)
                await asyncio.sleep(10)
            assert told(world, "healing") == told(world, "quarantined") == [] and not world.holds
            assert seen.mutations == [], "it is not tried at every look"
            watcher.broken = set()
            await asyncio.sleep(AGAIN_S)
            await world.command(watcher.look)
            assert told(world, "healed") == [D1.name]
            scenario.assert_serves(world)

    virtual_time.run(story())


def told(world: World, name: str) -> list[Any]:
    return [entry["subject"] for entry in world.journal if entry["event"] == name]
