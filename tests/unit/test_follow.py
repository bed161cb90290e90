"""Following an inventory file: what counts as a change, what is done about it, and how often."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from pdctl.control.cluster import Cluster
from pdctl.control.execute import Interrupt
from pdctl.control.follow import AGAIN_S, SETTLE_S, Follower, SettledFile
from pdctl.control.journal import Session
from pdctl.control.opened import Opened, read_deployment
from pdctl.control.up import UpOptions
from pdctl.errors import LeaseHeld, PdctlError, StaleBase
from pdctl.model.events import Event
from pdctl.model.keeper_events import ApplyRefused, ApplyWaits, InventoryChanged, InventoryRejected
from tests.crash.world import INVENTORY

HELD = LeaseHeld("kim@laptop (pid 7) is running `pdctl up` on this cluster", hint="wait")
STALE = StaleBase("kim@laptop applied another inventory", hint="--adopt")


@dataclass
class Clock:
    now_s: float = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def time(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@dataclass
class Desk:
    """A follower, the file it follows, and what it did."""

    path: Path
    clock: Clock = field(default_factory=Clock)
    events: list[Event] = field(default_factory=list)
    applied: list[str] = field(default_factory=list)
    outcomes: list[int | PdctlError] = field(default_factory=list)
    interrupt: Interrupt = field(default_factory=Interrupt)

    def __post_init__(self) -> None:
        self.path.write_text(INVENTORY)
        session = Session(self.events.append, self.interrupt, "run")
        self.follower = Follower(
            SettledFile(self.path), UpOptions(), session, self.clock, self.open_cluster, self.apply
        )

    @asynccontextmanager
    async def open_cluster(self, path: Path) -> AsyncIterator[Opened]:
        inventory, deployment = read_deployment(path)
        cluster = cast(Cluster, type("FakeCluster", (), {"deployment": deployment})())
        yield Opened(cluster, inventory)

    async def apply(self, opened: Opened, options: UpOptions, session: Session) -> int:
        outcome = self.outcomes.pop(0) if self.outcomes else 0
        if isinstance(outcome, PdctlError):
            raise outcome
        self.applied.append(opened.inventory_text)
        return outcome

    async def looks(self, seconds: float) -> None:
        """A look every second."""
        end = self.clock.now_s + seconds
        while self.clock.now_s < end:
            await self.follower.look()
            self.clock.now_s += 1.0

    def told(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
async def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "inventory.yaml")


def edited(number: int) -> str:
    return INVENTORY + f"# edit {number}\n"


async def test_the_file_is_applied_at_first_and_then_only_when_it_changes(desk: Desk) -> None:
    await desk.looks(10)
    desk.path.write_text(edited(1))
    await desk.looks(10)
    assert desk.applied == [INVENTORY, edited(1)]
    assert [type(event) for event in desk.events] == [InventoryChanged, InventoryChanged]


async def test_contents_count_once_they_have_settled(desk: Desk) -> None:
    await desk.looks(SETTLE_S + 1)
    for number in range(5):
        desk.path.write_text(edited(number))
        await desk.looks(1)
    assert desk.applied == [INVENTORY]
    await desk.looks(SETTLE_S + 1)
    assert desk.applied == [INVENTORY, edited(4)]


async def test_a_file_that_is_replaced_by_another_is_followed_on(desk: Desk) -> None:
    """A checkout removes it and puts another in its place."""
    await desk.looks(5)
    desk.path.unlink()
    await desk.looks(5)
    new = desk.path.with_suffix(".new")
    new.write_text(edited(1))
    new.rename(desk.path)
    await desk.looks(5)
    assert desk.applied == [INVENTORY, edited(1)]


async def test_a_bad_file_is_told_once_with_all_its_problems_and_nothing_is_done(desk: Desk) -> None:
    await desk.looks(5)
    desk.path.write_text(INVENTORY + "one: 1\ntwo: 2\n")
    await desk.looks(20)
    (rejected,) = desk.told(InventoryRejected)
    assert isinstance(rejected, InventoryRejected)
    assert len(rejected.problems) == 2
    assert desk.applied == [INVENTORY]
    desk.path.write_text(edited(1))
    await desk.looks(5)
    assert desk.applied == [INVENTORY, edited(1)]


async def test_while_somebody_else_has_the_lease_it_waits_and_says_who(desk: Desk) -> None:
    desk.outcomes = [HELD, HELD, 0]
    await desk.looks(SETTLE_S + 1 + AGAIN_S[0] + AGAIN_S[1] + 2)
    waits = desk.told(ApplyWaits)
    assert [event.again_s for event in waits if isinstance(event, ApplyWaits)] == list(AGAIN_S[:2])
    assert all("kim@laptop" in event.cause for event in waits if isinstance(event, ApplyWaits))
    assert (desk.applied, len(desk.told(InventoryChanged))) == ([INVENTORY], 1)


async def test_what_could_not_be_reached_is_tried_again(desk: Desk) -> None:
    desk.outcomes = [4, 0]
    await desk.looks(20)
    assert len(desk.applied) == 2


@pytest.mark.parametrize("outcome", [STALE, 1, 3], ids=["another was applied", "failed", "partly"])
async def test_what_is_refused_or_fails_is_not_tried_again_until_the_file_changes(
    desk: Desk, outcome: int | PdctlError
) -> None:
    desk.outcomes = [outcome]
    await desk.looks(200)
    assert len(desk.told(ApplyRefused)) == 1
    assert len(desk.applied) == (0 if isinstance(outcome, PdctlError) else 1)
    desk.path.write_text(edited(1))
    await desk.looks(10)
    assert desk.applied[-1] == edited(1)


async def test_a_newer_file_does_not_wait_for_what_the_older_one_waited_for(desk: Desk) -> None:
    desk.outcomes = [HELD, HELD, HELD, HELD]
    await desk.looks(60)
    desk.outcomes = []
    desk.path.write_text(edited(1))
    await desk.looks(SETTLE_S + 1)
    assert desk.applied == [edited(1)]
