"""The simulated cluster with another inventory: what an operator edits, and who serves while it is applied."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pdctl.control.journal import Session
from pdctl.control.opened import Opened
from pdctl.control.up import UpOptions, up
from pdctl.control.wanted import wanted
from pdctl.inventory.load import Inventory, parse
from pdctl.inventory.place import place
from pdctl.model.deployment import Deployment
from pdctl.model.unit import UnitState
from pdctl.plan.steps import REGISTRAR, ROUTER
from tests.crash.world import INVENTORY, UseCase, World

CENSUS_S = 0.2


@dataclass(frozen=True, slots=True)
class Edited:
    """An inventory that somebody edited."""

    inventory: Inventory
    deployment: Deployment

    @classmethod
    def by(cls, *edits: tuple[str, str]) -> Edited:
        """The simulated cluster's inventory with texts replaced; each must be there once."""
        text = INVENTORY
        for old, new in edits:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        inventory = parse(text.encode(), Path("/inventories/crash.yaml"))
        return cls(inventory, place(inventory))

    def up(self, options: UpOptions | None = None) -> UseCase:
        """`pdctl up` with it."""

        async def act(opened: Opened, session: Session) -> int:
            return await up(self.open(opened), options or UpOptions(), session)

        return act

    def open(self, opened: Opened) -> Opened:
        """The same cluster, opened with this inventory."""
        opened.cluster.deployment = self.deployment
        return Opened(opened.cluster, self.inventory)

    def assert_serves(self, world: World) -> None:
        """Everything that it asks for runs so and is a member, and nothing else of ours runs."""
        hashes = wanted(self.deployment).hashes
        units = {
            unit.labels.instance: unit
            for node in world.nodes.values()
            for unit in node.units.values()
            if unit.state is UnitState.RUNNING
        }
        assert {name: unit.labels.spec_hash for name, unit in units.items()} == dict(hashes)
        listed = {name: member.generation for name, member in world.routing.members.items()}
        engines = units.keys() - {ROUTER, REGISTRAR}
        assert listed == {name: units[name].labels.generation for name in engines}


@dataclass
class Census:
    """The fewest engines of each role that the router could choose and that answered, at any moment."""

    fewest: dict[str, int] = field(default_factory=dict)

    async def count(self, world: World) -> None:
        while True:
            alive = (unit for unit in world.routing.pickable().values() if unit is not None)
            counts = Counter(unit.labels.role for unit in alive if unit.state is UnitState.RUNNING)
            for role in ("prefill", "decode"):
                self.fewest[role] = min(self.fewest.get(role, counts[role]), counts[role])
            await asyncio.sleep(CENSUS_S)


@asynccontextmanager
async def census(world: World) -> AsyncIterator[Census]:
    """Count from now to the end of the context."""
    found = Census()
    counting = asyncio.create_task(found.count(world))
    try:
        yield found
    finally:
        counting.cancel()
        await asyncio.wait({counting})
