"""Healing in a simulated cluster: a dead engine is relaunched once, then held, whatever becomes of the watcher."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from pdctl.control.cluster import Cluster
from pdctl.control.heal import Healer
from pdctl.control.history import Record
from pdctl.control.hold_record import HoldRecord
from pdctl.control.journal import Session
from pdctl.control.opened import Opened
from pdctl.model.hold import HoldKind
from pdctl.model.unit import ExitEvidence, UnitState, UnitStatus, unit_name
from pdctl.plan.heal import HUNG_S, ONCE_IN_S
from tests.crash import scenario, virtual_time
from tests.crash.routing import TTL_S
from tests.crash.wire import Call, Fault, Wire
from tests.crash.world import DEPLOYMENT, FakeLease, Result, UseCase, World

D1 = DEPLOYMENT.instances[2]
SLOT = f"{D1.leader.node}.{D1.leader.slot}"


@pytest.fixture(autouse=True)
def _state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def unit(world: World) -> UnitStatus:
    return world.nodes[D1.leader.node].units[unit_name(DEPLOYMENT.cluster, D1.name)]


def dies(world: World, *, requested: bool = False) -> None:
    """Its process is killed on its node."""
    node = world.nodes[D1.leader.node]
    node.end(unit(world).labels.unit, ExitEvidence(None, "SIGKILL", node.now(), requested=requested))


def watcher(world: World, hung_s: float = 0.0) -> UseCase:
    """One look of a watcher that was started just now: it remembers nothing by itself."""

    async def read(cluster: Cluster, lines: int) -> Record:
        return Record(tuple(map(dict, world.journal[-lines:])), world.applied, holds=HoldRecord(world.holds))

    async def act(opened: Opened, session: Session) -> int:
        await Healer(session, read).look(opened, {D1.name: hung_s})
        return 0

    return act


async def look(world: World, wire: Wire | None = None, hung_s: float = 0.0) -> Result:
    return await world.command(watcher(world, hung_s), wire)


def journaled(world: World, name: str) -> list[Any]:
    return [entry["subject"] for entry in world.journal if entry["event"] == name]


async def serving(world: World) -> None:
    assert (await world.command(scenario.bring_up)).code == 0


def run(story: Coroutine[Any, Any, None]) -> None:
    virtual_time.run(story)


def test_a_cluster_that_serves_is_only_looked_at() -> None:
    async def story() -> None:
        async with World.alive() as world:
            await serving(world)
            assert (await look(world)).mutations == []

    run(story())


def test_a_dead_engine_is_relaunched_in_a_new_generation_and_nobody_else_is_touched() -> None:
    async def story() -> None:
        async with World.alive() as world:
            await serving(world)
            before = unit(world).labels.generation
            dies(world)
            healed = await look(world)
            assert unit(world).labels.generation > before
            assert {call.node for call in healed.calls if call.what.startswith(("start", "stop"))} == {D1.leader.node}
            assert (journaled(world, "healing"), journaled(world, "healed")) == ([D1.name], [D1.name])
            scenario.assert_serves(world)
            scenario.assert_nothing_wrong(world)

    run(story())


def test_what_dies_again_within_half_an_hour_is_quarantined_though_the_watcher_was_restarted() -> None:
    async def story() -> None:
        async with World.alive() as world:
            await serving(world)
            for _ in range(2):
                dies(world)
                await look(world)
                await asyncio.sleep(ONCE_IN_S / 3)
            ((slot, kind, reason),) = [(hold.slot, hold.kind, hold.reason) for hold in world.holds]
            assert (slot, kind) == (SLOT, HoldKind.QUARANTINED)
            assert "killed by SIGKILL" in reason
            assert journaled(world, "quarantined") == [D1.name]
            assert journaled(world, "healing") == [D1.name]
            later = await look(world)
            up = await world.command(scenario.bring_up)
            assert (later.mutations, up.code) == ([], 0)
            assert unit_name(DEPLOYMENT.cluster, D1.name) not in _running(world)

    run(story())


def test_what_dies_again_after_half_an_hour_is_relaunched_again() -> None:
    async def story() -> None:
        async with World.alive() as world:
            await serving(world)
            for _ in range(2):
                dies(world)
                await look(world)
                await asyncio.sleep(ONCE_IN_S)
            assert journaled(world, "healed") == [D1.name, D1.name]
            scenario.assert_serves(world)

    run(story())


def test_what_was_stopped_by_hand_stays_stopped() -> None:
    async def story() -> None:
        async with World.alive() as world:
            await serving(world)
            node = world.nodes[D1.leader.node]
            node.end(unit(world).labels.unit, ExitEvidence(0, None, node.now(), requested=True))
            assert (await look(world)).mutations == []

    run(story())


def test_a_hung_engine_is_stopped_without_a_drain_and_relaunched() -> None:
    async def story() -> None:
        async with World.alive() as world:
            await serving(world)
            before = unit(world).labels.generation
            await look(world, hung_s=HUNG_S)
            assert unit(world).labels.generation > before
            assert not [entry for entry in world.journal if entry.get("action") == "drain"]
            scenario.assert_serves(world)

    run(story())


def test_while_somebody_else_is_at_work_nothing_is_healed() -> None:
    async def story() -> None:
        async with World.alive() as world:
            await serving(world)
            dies(world)
            world.lease = FakeLease(world, Wire())
            assert (await look(world)).mutations == []
            world.lease = None
            await look(world)
            scenario.assert_serves(world)

    run(story())


KILLS = (Fault.KILLED_BEFORE, Fault.KILLED_AFTER)


def calls_of_healing() -> list[Call]:
    calls: list[Call] = []

    async def story() -> None:
        async with World.alive() as world:
            await serving(world)
            dies(world)
            calls.extend((await look(world)).calls)

    run(story())
    return calls


@pytest.mark.parametrize("fault", [*KILLS, Fault.REQUEST_LOST, Fault.REPLY_LOST], ids=lambda fault: fault.name.lower())
def test_a_watcher_that_is_lost_at_any_call_relaunches_no_slot_twice(fault: Fault) -> None:
    """The next one, and an operator's `up`, find a cluster that they can make whole."""
    failed = []
    for at, call in enumerate(calls_of_healing()):
        if not call.mutates:
            continue

        async def story(at: int = at) -> None:
            async with World.alive() as world:
                await serving(world)
                dies(world)
                await look(world, Wire(at, fault))
                await look(world)
                assert len(journaled(world, "healing")) <= 1 or not world.holds
                starts = [spec.labels.instance for _, spec in world.history.starts].count(D1.name)
                assert starts <= 2, "launched at first, and once by healing"
                if not world.holds:
                    assert (await world.command(scenario.bring_up)).code == 0
                    await asyncio.sleep(TTL_S)  # the router forgets the address of the dead one
                    scenario.assert_serves(world)
                scenario.assert_nothing_wrong(world)

        try:
            run(story())
        except AssertionError as error:
            failed.append(f"call {at} ({call.node} {call.what}): {error}")
    assert not failed, "\n".join(failed)


def _running(world: World) -> set[str]:
    units = (unit for node in world.nodes.values() for unit in node.units.values())
    return {unit.labels.unit for unit in units if unit.state is UnitState.RUNNING}
