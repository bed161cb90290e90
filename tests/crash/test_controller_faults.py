"""What goes wrong beside the controller: its lease node, its journal, its clock; and what was changed by hand."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pdctl.control.journal import Session
from pdctl.control.opened import Opened
from pdctl.control.up import UpOptions, up
from pdctl.errors import NodeError
from pdctl.model.unit import ExitEvidence, UnitState, UnitStatus, unit_name
from tests.crash import scenario, virtual_time
from tests.crash.wire import Fault, Wire
from tests.crash.world import DEPLOYMENT, FakeLease, Result, World

D1 = DEPLOYMENT.instances[2]


@pytest.fixture(autouse=True)
def _state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


async def adopting(opened: Opened, session: Session) -> int:
    return await up(opened, UpOptions(adopt=True), session)


def test_the_lease_node_is_down() -> None:
    """Row 7: nothing is changed while nobody can say who else is at work."""

    async def story() -> None:
        async with World.alive() as world:
            refused = await world.command(scenario.bring_up, Wire(0, Fault.REQUEST_LOST))
            assert (refused.code, refused.mutations) == (4, [])

    virtual_time.run(story())


@pytest.mark.parametrize("after", [0, 1, 2, 5, 20, 40])
def test_the_journal_cannot_be_written_from_some_entry_on(after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 8: no step begins that is not in it, what has begun reaches its end, and the next run goes on."""

    async def story() -> None:
        async with World.alive() as world:
            with monkeypatch.context() as patch:
                patch.setattr(FakeLease, "journal", full_after(after))
                stopped = await world.command(scenario.bring_up)
            begun = [entry["step"] for entry in world.journal if entry["event"] == "step_started"]
            starts = [spec.labels.instance for _, spec in world.history.starts]
            assert stopped.code == 1
            assert {f"start:{name}" for name in starts if name in scenario.ENGINES} <= set(begun)
            if after <= 2:
                assert stopped.mutations == [] and "no space left on device" in stopped.trouble
            rerun = await world.command(scenario.bring_up)
            assert (rerun.code, rerun.failures) == (0, [])
            scenario.assert_serves(world)
            scenario.assert_nothing_wrong(world)

    virtual_time.run(story())


def full_after(entries: int) -> Any:
    """A journal that takes so many entries."""
    count = itertools.count()

    async def journal(lease: FakeLease, entry: Mapping[str, Any]) -> None:
        if next(count) >= entries:
            raise NodeError("n1", "its record of this cluster cannot be written: no space left on device")
        lease._world.journal.append(entry)

    return journal


class JumpingClock(virtual_time.VirtualClock):
    """Wall-clock time that is a day ahead at one look, and a year behind at the next."""

    def __init__(self) -> None:
        self._offsets = itertools.cycle([86_400.0, -31_536_000.0, 0.0, 3_600.0])

    def time(self) -> float:
        return super().time() + next(self._offsets)


def test_the_controllers_clock_jumps() -> None:
    """Row 9: every wait is monotonic, and ages are told by the node's own clock."""

    async def story(clock: virtual_time.VirtualClock) -> tuple[float, list[str]]:
        async with World.alive() as world:

            async def act(opened: Opened, session: Session) -> int:
                opened.cluster.clock = clock
                return await up(opened, UpOptions(), session)

            began = asyncio.get_running_loop().time()
            done = await world.command(act)
            assert (done.code, done.failures) == (0, [])
            scenario.assert_serves(world)
            return asyncio.get_running_loop().time() - began, done.mutations

    steady = virtual_time.run(story(virtual_time.VirtualClock()))
    assert virtual_time.run(story(JumpingClock())) == steady


def by_hand(world: World, change: str) -> None:
    """Somebody was at work on D1's node without pdctl."""
    node = world.nodes[D1.leader.node]
    unit: UnitStatus = node.units[unit_name(DEPLOYMENT.cluster, D1.name)]
    match change:
        case "started otherwise":
            labels = replace(unit.labels, spec_hash="0123456789abcdef")
            node.units[unit.labels.unit] = replace(unit, labels=labels)
        case "a stray":
            labels = replace(unit.labels, instance="mine", generation=99, spec_hash="fedcba9876543210", gpus=())
            node.units[labels.unit] = replace(unit, labels=labels, endpoint="10.1.0.3:31999")
        case "stopped":
            node.end(unit.labels.unit, ExitEvidence(0, None, node.now(), requested=True))


@pytest.mark.parametrize("change", ["started otherwise", "a stray"])
def test_what_was_started_by_hand_is_left_alone_until_it_is_adopted(change: str) -> None:
    """Row 47."""

    async def story() -> None:
        async with World.alive() as world:
            assert (await world.command(scenario.bring_up)).code == 0
            by_hand(world, change)
            left = await world.command(scenario.bring_up)
            assert (left.code, left.mutations) == (1, [])
            adopted = await world.command(adopting)
            assert adopted.code == 0
            scenario.assert_serves(world)

    virtual_time.run(story())


def test_what_was_stopped_by_hand_is_started_again() -> None:
    """Row 47: the inventory still asks for it; `drain` is how to say that it should not serve."""

    async def story() -> Result:
        async with World.alive() as world:
            assert (await world.command(scenario.bring_up)).code == 0
            by_hand(world, "stopped")
            done = await world.command(scenario.bring_up)
            scenario.assert_serves(world)
            return done

    assert virtual_time.run(story()).code == 0


def test_an_engine_whose_record_cannot_be_read_stays_a_member_while_another_is_relaunched() -> None:
    """Nobody knows whether it lives: it may serve, and the list of members is not the place to decide that."""

    async def story() -> None:
        async with World.alive() as world:
            assert (await world.command(scenario.bring_up)).code == 0
            node = world.nodes[D1.leader.node]
            name = unit_name(DEPLOYMENT.cluster, D1.name)
            labels = replace(node.units[name].labels, generation=0)
            node.units[name] = replace(node.units[name], labels=labels, state=UnitState.UNKNOWN)
            other = DEPLOYMENT.instances[3].name
            assert (await world.command(partial(relaunching, other))).code == 0
            assert D1.name in world.routing.members

    virtual_time.run(story())


async def relaunching(name: str, opened: Opened, session: Session) -> int:
    return await up(opened, UpOptions(only=frozenset({name}), restart=frozenset({name})), session)
