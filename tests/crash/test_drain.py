"""`drain` and `undrain`, lost at every call and cancelled at every event: what is held stays held, nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from pdctl.control.drain import drain, undrain
from pdctl.control.journal import Session
from pdctl.control.lease import operator
from pdctl.control.opened import Opened
from pdctl.control.pin import forget_holds, pin
from pdctl.control.request import DrainRequest, UndrainRequest
from pdctl.model.events import Event, StepDone, Warned
from pdctl.model.hold import Hold, HoldKind
from pdctl.model.unit import UnitState
from tests.crash import scenario, virtual_time
from tests.crash.signals import asking_at
from tests.crash.test_crash_points import KILLS, LOSSES
from tests.crash.wire import Fault, Wire
from tests.crash.world import UseCase, World

NAME, SLOT = "n4.main.0", "n4.main"
REST = scenario.ENGINES - {NAME}


async def take_out(opened: Opened, session: Session, *, stop: bool = False) -> int:
    return await drain(opened, DrainRequest((SLOT,), reason="new fans", stop=stop), session)


async def stop_it(opened: Opened, session: Session) -> int:
    return await take_out(opened, session, stop=True)


async def bring_back(opened: Opened, session: Session) -> int:
    return await undrain(opened, UndrainRequest((SLOT,)), session)


COMMANDS: dict[str, tuple[tuple[UseCase, ...], UseCase]] = {
    "drain": ((scenario.bring_up,), take_out),
    "drain and stop": ((scenario.bring_up,), stop_it),
    "undrain": ((scenario.bring_up, take_out), bring_back),
    "undrain what was stopped": ((scenario.bring_up, stop_it), bring_back),
}


@pytest.fixture(autouse=True)
def _state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def unit_of(world: World, name: str = NAME) -> UnitState | None:
    found = [unit for node in world.nodes.values() for unit in node.units.values() if unit.labels.instance == name]
    return found[0].state if found else None


def held(world: World) -> list[tuple[str, HoldKind, str]]:
    return [(hold.slot, hold.kind, hold.reason) for hold in world.holds]


def assert_out(world: World, *, runs: bool = True) -> None:
    """It is held, the router cannot pick it, everybody else serves."""
    assert held(world) == [(SLOT, HoldKind.DRAINED, "new fans")]
    assert unit_of(world) is (UnitState.RUNNING if runs else None)
    assert set(world.routing.members) == REST
    assert {unit.labels.instance for unit in world.routing.pickable().values() if unit is not None} == REST


async def played(world: World, name: str, wire: Wire | None = None) -> tuple[int | None, list[str]]:
    before, command = COMMANDS[name]
    for earlier in before:
        assert (await world.command(earlier)).code == 0
    result = await world.command(command, wire)
    return result.code, result.failures


@pytest.mark.parametrize("name", ["drain", "drain and stop"])
def test_what_is_drained_is_held_and_left_alone_until_it_is_undrained(name: str) -> None:
    async def story() -> None:
        async with World.alive() as world:
            assert await played(world, name) == (0, [])
            runs = name == "drain"
            assert_out(world, runs=runs)
            up = await world.command(scenario.bring_up)
            assert (up.code, up.mutations) == (0, [])
            again = await world.command(COMMANDS[name][1])
            assert (again.code, [call for call in again.mutations if "members" not in call]) == (0, [])
            assert_out(world, runs=runs)
            assert (await world.command(bring_back)).code == 0
            assert held(world) == []
            scenario.assert_serves(world)
            scenario.assert_nothing_wrong(world)

    virtual_time.run(story())


def test_a_fresh_up_after_down_leaves_it_out() -> None:
    async def story() -> None:
        async with World.alive() as world:
            await played(world, "drain")
            assert (await world.command(scenario.take_down)).code == 0
            assert held(world) == [(SLOT, HoldKind.DRAINED, "new fans")]
            assert (await world.command(scenario.bring_up)).code == 0
            assert_out(world, runs=False)

    virtual_time.run(story())


def test_undrain_of_a_cluster_that_is_down_starts_nothing() -> None:
    async def story() -> None:
        async with World.alive() as world:
            await played(world, "drain")
            assert (await world.command(scenario.take_down)).code == 0
            started = len(world.history.starts)
            assert (await world.command(bring_back)).code == 0
            assert (held(world), len(world.history.starts)) == ([], started)

    virtual_time.run(story())


Rerun = Callable[[World, str], Awaitable[None]]


async def _then_again(world: World, name: str) -> None:
    """The same command from another machine, then `up`."""
    rerun = await world.command(COMMANDS[name][1])
    assert (rerun.code, rerun.failures) == (0, []), rerun.trouble
    up = await world.command(scenario.bring_up)
    assert (up.code, up.failures) == (0, []), up.trouble
    if name.startswith("drain"):
        assert_out(world, runs=name == "drain")
        assert (await world.command(bring_back)).code == 0
    scenario.assert_serves(world)


async def _then_up(world: World, name: str) -> None:
    """`up` from another machine: what is held is left as it is, whoever was at it."""
    before, was_held = unit_of(world), bool(held(world))
    up = await world.command(scenario.bring_up)
    assert (up.code, up.failures) == (0, []), up.trouble
    assert bool(held(world)) == was_held, "up neither takes a hold away nor sets one"
    if was_held:
        assert unit_of(world) is before
    else:
        scenario.assert_serves(world)
    assert (await world.command(bring_back)).code == 0
    assert (await world.command(scenario.bring_up)).code == 0
    scenario.assert_serves(world)


@pytest.mark.parametrize("fault", LOSSES, ids=lambda fault: fault.name.lower())
@pytest.mark.parametrize("name", list(COMMANDS))
@pytest.mark.parametrize("rerun", [_then_again, _then_up], ids=["then again", "then up"])
def test_lost_at_any_call(name: str, fault: Fault, rerun: Rerun) -> None:
    async def clean() -> list[bool]:
        async with World.alive() as world:
            wire = Wire()
            await played(world, name, wire)
            return [call.mutates for call in wire.calls]

    async def story(at: int) -> None:
        async with World.alive() as world:
            code, _ = await played(world, name, Wire(at, fault))
            assert (code is None) == (fault in KILLS)
            await rerun(world, name)
            scenario.assert_nothing_wrong(world)

    failed = []
    for at, mutates in enumerate(virtual_time.run(clean())):
        if mutates:
            try:
                virtual_time.run(story(at))
            except AssertionError as error:
                failed.append(f"call {at}: {error}")
    assert not failed, "\n".join(failed)


@pytest.mark.parametrize("name", ["drain", "undrain"])
def test_overtaken_at_any_change(name: str) -> None:
    """Frozen, its lease expires, another operator has it serve again; then it goes on, and does no harm."""

    async def story(at: int) -> None:
        before, command = COMMANDS[name]
        async with World.alive() as world:
            for earlier in before:
                assert (await world.command(earlier)).code == 0
            wire = Wire(at, Fault.FROZEN)
            first = asyncio.create_task(world.command(command, wire))
            await wire.frozen.wait()
            lease, world.lease = world.lease, None
            for act in (bring_back, scenario.bring_up):
                assert (await world.command(act)).code == 0
            scenario.assert_serves(world)
            wire.thawed.set()
            if lease is not None:
                lease.lose()
            assert (await first).code != 0
            assert held(world) == []
            scenario.assert_serves(world)
            scenario.assert_nothing_wrong(world)

    async def changes() -> list[int]:
        async with World.alive() as world:
            wire = Wire()
            await played(world, name, wire)
            return [at for at, call in enumerate(wire.calls) if call.mutates and at]

    failed = []
    for at in virtual_time.run(changes()):
        try:
            virtual_time.run(story(at))
        except AssertionError as error:
            failed.append(f"call {at}: {error}")
    assert not failed, "\n".join(failed)


async def _cancelled(number: int) -> tuple[list[Event], bool]:
    """The events of a drain that gets a signal at one of them, and whether it had drained by then."""
    async with World.alive() as world:
        assert (await world.command(scenario.bring_up)).code == 0
        seen: list[Event] = []
        code = (await world.command(asking_at(take_out, number, seen))).code
        drained = any(isinstance(event, StepDone) and event.action == "drain" for event in seen)
        assert code == (0 if number < 0 else 130)
        if drained:
            assert_out(world)
        else:
            assert held(world) == []
            scenario.assert_serves(world)
            up = await world.command(scenario.bring_up)
            assert (up.code, up.mutations) == (0, [])
        scenario.assert_nothing_wrong(world)
        return seen, drained


def test_a_drain_that_is_cancelled_before_it_is_drained_leaves_everything_as_it_was() -> None:
    whole, drained = virtual_time.run(_cancelled(-1))
    assert drained
    ends = [virtual_time.run(_cancelled(number))[1] for number in range(len(whole) - 1)]
    assert ends.count(False) >= 5, "the signal came before it was drained"


def test_no_role_is_left_without_an_instance() -> None:
    async def refused(selectors: tuple[str, ...], *, force: bool) -> str:
        async with World.alive() as world:
            assert (await world.command(scenario.bring_up)).code == 0
            act: UseCase = partial(_drain_all, selectors, force)
            result = await world.command(act)
            assert (result.code == 0) == (result.mutations != [])
            if result.code:
                assert held(world) == []
                scenario.assert_serves(world)
            return result.trouble

    for force in (False, True):
        assert "no prefill instance would be left" in virtual_time.run(refused(("@prefill",), force=force))
    assert virtual_time.run(refused(("n3", "n4"), force=False)) == ""


async def _drain_all(selectors: tuple[str, ...], force: bool, opened: Opened, session: Session) -> int:
    return await drain(opened, DrainRequest(selectors, force=force), session)


def test_a_hold_of_somebody_else_is_not_overridden_unawares(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with World.alive() as world:
            await played(world, "drain")
            monkeypatch.setattr("pdctl.control.drain.operator", lambda: "somebody@else")
            result = await world.command(take_out)
            assert result.code == 1
            assert "drained by" in result.trouble and "new fans" in result.trouble
            assert (await world.command(partial(_drain_all, (SLOT,), True))).code == 0
            assert [hold.by for hold in world.holds] == ["somebody@else"]

    virtual_time.run(story())


def test_where_holds_are_not_known_nothing_goes_on_that_would_have_to_know() -> None:
    async def story() -> None:
        async with World.alive() as world:
            assert (await world.command(scenario.bring_up)).code == 0
            world.holds_trouble = "their record on the lease node is damaged"
            for act in (scenario.bring_up, scenario.relaunch, take_out, bring_back):
                result = await world.command(act)
                assert (result.code, result.mutations) == (1, [])
                assert "not known" in result.trouble
            assert (await world.command(forget_holds)).code == 0
            scenario.assert_serves(world)
            assert (await world.command(take_out)).code == 0
            world.holds_trouble = "their record on the lease node is damaged"
            assert (await world.command(scenario.take_down)).code == 0

    virtual_time.run(story())


def test_who_drains_the_routers_node_is_told_what_lives_there() -> None:
    async def story() -> list[str]:
        async with World.alive() as world:
            assert (await world.command(scenario.bring_up)).code == 0
            seen: list[Event] = []
            act: UseCase = partial(_drain_all, ("n1",), False)
            assert (await world.command(asking_at(act, -1, seen))).code == 0
            return [event.text for event in seen if isinstance(event, Warned)]

    warnings = virtual_time.run(story())
    assert any("the router lives on n1" in text and "pdctl router move" in text for text in warnings)
    assert any("n1 is the lease node" in text for text in warnings)


def test_what_is_pinned_serves_and_is_taken_out_of_service_by_its_own_operator_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    me = operator()
    pinned = Hold("", HoldKind.PINNED, me, "the reference engine", 0.0)

    async def keep(opened: Opened, session: Session) -> int:
        return await pin(opened, (SLOT,), pinned, session)

    async def story() -> None:
        async with World.alive() as world:
            assert (await world.command(scenario.bring_up)).code == 0
            assert (await world.command(keep)).code == 0
            assert held(world) == [(SLOT, HoldKind.PINNED, "the reference engine")]
            up = await world.command(scenario.bring_up)
            assert (up.code, up.mutations) == (0, [])
            scenario.assert_serves(world)
            monkeypatch.setattr("pdctl.control.drain.operator", lambda: "somebody@else")
            assert "pinned by" in (await world.command(take_out)).trouble
            monkeypatch.setattr("pdctl.control.drain.operator", lambda: me)
            seen: list[Event] = []
            cancelled = await world.command(asking_at(take_out, 12, seen))
            assert cancelled.code == 130
            assert held(world) == [(SLOT, HoldKind.PINNED, "the reference engine")], "what held it before is back"
            assert (await world.command(take_out)).code == 0
            assert "drained by" in (await world.command(keep)).trouble
            assert (await world.command(bring_back)).code == 0
            assert held(world) == []
            scenario.assert_serves(world)

    virtual_time.run(story())


def test_a_second_signal_while_it_is_taken_back_ends_at_once_and_undrain_mends_it() -> None:
    async def story(second: int) -> bool:
        async with World.alive() as world:
            assert (await world.command(scenario.bring_up)).code == 0
            seen: list[Event] = []
            twice = asking_at(asking_at(take_out, 12, []), second, seen)
            try:
                ended = (await world.command(twice)).code
            except asyncio.CancelledError:
                ended = None
            assert (await world.command(bring_back)).code == 0
            up = await world.command(scenario.bring_up)
            assert (up.code, up.failures) == (0, [])
            assert held(world) == []
            scenario.assert_serves(world)
            scenario.assert_nothing_wrong(world)
            return ended is None

    insisted = [virtual_time.run(story(second)) for second in range(13, 19)]
    assert any(insisted), "the second signal came before it was taken back"


def test_a_hold_that_runs_out_counts_no_more() -> None:
    async def for_a_minute(opened: Opened, session: Session) -> int:
        until_s = opened.cluster.clock.time() + 60.0
        return await drain(opened, DrainRequest((SLOT,), reason="new fans", until_s=until_s), session)

    async def story() -> None:
        async with World.alive() as world:
            assert (await world.command(scenario.bring_up)).code == 0
            assert (await world.command(for_a_minute)).code == 0
            assert_out(world)
            assert (await world.command(scenario.bring_up)).mutations == []
            await asyncio.sleep(60.0)
            assert (await world.command(scenario.bring_up)).code == 0
            scenario.assert_serves(world)
            assert held(world) == [(SLOT, HoldKind.DRAINED, "new fans")], "shown until somebody clears it"
            assert (await world.command(bring_back)).code == 0
            assert held(world) == []
            scenario.assert_serves(world)

    virtual_time.run(story())
