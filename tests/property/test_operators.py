"""Operators one after the other, with whatever faults: service is never given up, and in the end it is as it should be.

Commands run on a cluster in memory, in virtual time, and each may be lost at any call. What is looked at all the time:
the router can always choose one instance of every role that it could before, unless the cluster is being taken down;
nothing is stopped that the router could still choose; no generation and no port is used twice.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from pdctl.control.drain import drain, undrain
from pdctl.control.journal import Session
from pdctl.control.move import move
from pdctl.control.opened import Opened
from pdctl.control.request import DrainRequest, MoveRequest, UndrainRequest
from pdctl.control.up import UpOptions, up
from tests.crash import scenario, virtual_time
from tests.crash.edits import Edited
from tests.crash.signals import asking_at
from tests.crash.wire import Fault, Wire
from tests.crash.world import DEPLOYMENT, UseCase, World

CASES = settings(
    max_examples=int(os.environ.get("PDCTL_HYPOTHESIS_EXAMPLES", "15")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
SLOTS = tuple(slot.id for slot in DEPLOYMENT.slots)
EVERY_S = 0.25
FAULTS = (None, Fault.KILLED_BEFORE, Fault.KILLED_AFTER, Fault.REQUEST_LOST, Fault.REPLY_LOST)


async def take_out(slot: str, stop: bool, opened: Opened, session: Session) -> int:
    return await drain(opened, DrainRequest((slot,), reason="work on it", stop=stop), session)


async def bring_back(slots: tuple[str, ...], opened: Opened, session: Session) -> int:
    return await undrain(opened, UndrainRequest(slots), session)


async def shift(slot: str, pool: str, opened: Opened, session: Session) -> int:
    return await move(opened, MoveRequest((slot,), pool), session)


async def relaunch(slot: str, opened: Opened, session: Session) -> int:
    only = frozenset({f"{slot}.0"})
    return await up(opened, UpOptions(only=only, restart=only), session)


@dataclass(frozen=True)
class Command:
    """What one operator does, and at which call what goes wrong, or at which event Ctrl-C is pressed (-1: it is not).
    Past the last one: nothing."""

    name: str
    act: UseCase
    fault: Fault | None
    at: int
    signal_at: int

    def __repr__(self) -> str:
        signal = f" (signal at event {self.signal_at})" if self.signal_at >= 0 else ""
        return self.name + (f" ({self.fault.name.lower()} at call {self.at})" if self.fault else "") + signal


@st.composite
def commands(draw: st.DrawFn) -> Command:
    slot = draw(st.sampled_from(SLOTS))
    acts: dict[str, UseCase] = {
        "up": scenario.bring_up,
        f"drain {slot}": partial(take_out, slot, False),
        f"drain --stop {slot}": partial(take_out, slot, True),
        f"undrain {slot}": partial(bring_back, (slot,)),
        f"restart {slot}": partial(relaunch, slot),
        "restart of all": scenario.relaunch,
        f"move {slot} to prefill": partial(shift, slot, "prefill"),
        f"move {slot} to decode": partial(shift, slot, "decode"),
    }
    name = draw(st.sampled_from(sorted(acts)))
    signal_at = draw(st.one_of(st.just(-1), st.integers(0, 40)))
    return Command(name, acts[name], draw(st.sampled_from(FAULTS)), draw(st.integers(0, 45)), signal_at)


@dataclass
class Outages:
    """Roles that the router had instances of, and then none."""

    seen: set[str]
    lost: list[str]


@asynccontextmanager
async def watched(world: World) -> AsyncIterator[Outages]:
    """Looks all the time which roles the router can choose an engine that serves of."""
    outages = Outages(set(), [])

    async def look() -> None:
        while True:
            roles = {unit.labels.role for unit in world.routing.pickable().values() if unit is not None}
            gone = outages.seen - roles
            outages.lost += sorted(gone)
            outages.seen = (outages.seen | roles) - gone
            await asyncio.sleep(EVERY_S)

    looking = asyncio.create_task(look())
    try:
        yield outages
    finally:
        looking.cancel()
        await asyncio.wait({looking})


async def played(story: list[Command]) -> None:
    async with World.alive() as world:
        assert (await world.command(scenario.bring_up)).code == 0
        async with watched(world) as outages:
            for command in story:
                wire = Wire(command.at, command.fault) if command.fault is not None else None
                held = {hold.slot for hold in world.holds}
                result = await world.command(asking_at(command.act, command.signal_at, []), wire)
                note(f"{command}: {result.code} {result.trouble}")
                if not command.name.startswith(("drain", "undrain")):
                    assert {hold.slot for hold in world.holds} == held, "only drains and undrains change holds"
        assert outages.lost == [], f"nothing could be served any more: {outages.lost}"
        assert (await world.command(partial(bring_back, ("*.*",)))).code == 0
        last = await world.command(scenario.bring_up)
        assert (last.code, last.failures) == (0, []), last.trouble
        Edited(world.inventory, world.deployment).assert_serves(world)
        again = await world.command(scenario.bring_up)
        assert (again.code, again.mutations, world.holds) == (0, [], ())
        scenario.assert_nothing_wrong(world)
        used = Counter((node, port) for node, spec in world.history.starts for port in spec.ports)
        assert not [each for each, count in used.items() if count > 1], "a port came back"


@pytest.fixture(autouse=True)
def _state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


@CASES
@given(st.lists(commands(), min_size=1, max_size=6))
def test_whatever_operators_do_and_whatever_is_lost_service_is_never_given_up(story: list[Command]) -> None:
    virtual_time.run(played(story))
