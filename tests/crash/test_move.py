"""`move`, lost at every call and cancelled at every event: the inventory is old or new, and `up` makes it true."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from pdctl.control.journal import Session
from pdctl.control.move import move
from pdctl.control.opened import Opened
from pdctl.control.request import MoveRequest
from pdctl.inventory.edit import set_pool
from pdctl.model.events import Event, Moved, RunEnded, Warned
from pdctl.model.unit import ExitEvidence
from tests.crash import scenario, virtual_time
from tests.crash.edits import Census, Edited, census
from tests.crash.signals import asking_at
from tests.crash.test_crash_points import KILLS, LOSSES
from tests.crash.wire import Fault, Wire
from tests.crash.world import INVENTORY, PARSED, UseCase, World


def moving(*selectors: str, to: str, at_once: int = 1) -> UseCase:
    async def act(opened: Opened, session: Session) -> int:
        return await move(opened, MoveRequest(selectors, to, at_once), session)

    return act


def with_pools(pool: str, *nodes: str) -> str:
    text = INVENTORY
    for node in nodes:
        text = set_pool(text, node, None, pool)
    return text


SPARED = INVENTORY.replace("nics: 8, pool: prefill}\n  n3", "nics: 8, pool: null}\n  n3")
COMMANDS: dict[str, tuple[tuple[UseCase, ...], UseCase, list[str], dict[str, int]]] = {
    "a prefill becomes a decode": (
        (),
        moving("n2", to="decode"),
        [INVENTORY, with_pools("decode", "n2")],
        {"prefill": 1, "decode": 3},
    ),
    "two decodes in turn": (
        (),
        moving("n4", "n5", to="prefill"),
        [INVENTORY, with_pools("prefill", "n4"), with_pools("prefill", "n4", "n5")],
        {"prefill": 2, "decode": 1},
    ),
    "a prefill becomes a spare": ((), moving("n2", to="none"), [INVENTORY, SPARED], {"prefill": 1, "decode": 3}),
    "a spare becomes a decode": (
        (moving("n2", to="none"),),
        moving("n2", to="decode"),
        [SPARED, with_pools("decode", "n2")],
        {"prefill": 1, "decode": 3},
    ),
}
"""What went before, the command, the texts that the inventory may have on its way, the fewest that may serve."""
FIRST = next(iter(COMMANDS))
CASES = [
    pytest.param(
        name,
        fault,
        id=f"{name}-{fault.name.lower()}",
        marks=[] if name == FIRST or fault is Fault.KILLED_AFTER else pytest.mark.slow,
    )
    for name in COMMANDS
    for fault in LOSSES
]


@pytest.fixture(autouse=True)
def _state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def assert_as_written(world: World) -> None:
    """Everything runs as the operators' file says, and nothing of what happened on the way was wrong."""
    Edited(world.inventory, world.deployment).assert_serves(world)
    scenario.assert_nothing_wrong(world)
    used = Counter((node, port) for node, spec in world.history.starts for port in spec.ports)
    assert not [each for each, count in used.items() if count > 1], "a port came back"


def assert_floors(name: str, seen: Census) -> None:
    for role, least in COMMANDS[name][3].items():
        assert seen.fewest[role] >= least, f"only {seen.fewest[role]} {role} served"


async def prepared(world: World, name: str) -> UseCase:
    before, command, _, _ = COMMANDS[name]
    for earlier in (scenario.bring_up, *before):
        assert (await world.command(earlier)).code == 0
    return command


@pytest.mark.parametrize("name", list(COMMANDS))
def test_a_move_that_nothing_disturbs(name: str) -> None:
    async def story() -> None:
        async with World.alive() as world:
            command = await prepared(world, name)
            async with census(world) as seen:
                done = await world.command(command)
            assert (done.code, done.failures) == (0, []), done.trouble
            assert world.inventory.text == COMMANDS[name][2][-1]
            assert_as_written(world)
            assert_floors(name, seen)
            for again in (command, scenario.bring_up):
                more = await world.command(again)
                assert (more.code, more.mutations) == (0, []), "there is nothing left to do"
            assert world.applied is not None
            assert (world.applied.digest, world.applied.text) == (world.inventory.digest, world.inventory.text)

    virtual_time.run(story())


async def _lost(name: str, at: int, fault: Fault) -> None:
    async with World.alive() as world:
        command = await prepared(world, name)
        async with census(world) as seen:
            broken = await world.command(command, Wire(at, fault))
            assert (broken.code is None) == (fault in KILLS)
            assert world.inventory.text in COMMANDS[name][2]
            up = await world.command(scenario.bring_up)
            assert (up.code, up.failures) == (0, []), up.trouble
        assert_as_written(world)
        assert_floors(name, seen)
        again = await world.command(scenario.bring_up)
        assert (again.code, again.mutations) == (0, [])


@pytest.mark.parametrize(("name", "fault"), CASES)
def test_lost_at_any_call(name: str, fault: Fault) -> None:
    async def clean() -> list[bool]:
        async with World.alive() as world:
            command = await prepared(world, name)
            wire = Wire()
            await world.command(command, wire)
            return [call.mutates for call in wire.calls]

    failed = []
    for at, mutates in enumerate(virtual_time.run(clean())):
        if mutates or fault is Fault.REQUEST_LOST:
            try:
                virtual_time.run(_lost(name, at, fault))
            except AssertionError as error:
                failed.append(f"call {at}: {error}")
    assert not failed, "\n".join(failed)


async def _cancelled(number: int) -> tuple[list[Event], str]:
    """The events of a move that gets a signal at one of them, and what became of the slot."""
    async with World.alive() as world:
        command = await prepared(world, FIRST)
        members = dict(world.routing.members)
        seen: list[Event] = []
        code = (await world.command(asking_at(command, number, seen))).code
        told = [event.outcome for event in seen if isinstance(event, Moved)]
        assert code == (0 if number < 0 else 130)
        outcome = told[0] if told else "untouched"
        if outcome in ("put back", "untouched"):
            assert world.inventory.text == INVENTORY
            assert world.routing.members == members
            assert world.applied is not None and world.applied.digest == PARSED.digest
            scenario.assert_serves(world)
            up = await world.command(scenario.bring_up)
            assert (up.code, up.mutations) == (0, [])
        else:
            assert world.inventory.text == with_pools("decode", "n2")
            assert (await world.command(scenario.bring_up)).code == 0
        assert_as_written(world)
        return seen, outcome


def test_a_move_that_is_cancelled_before_its_stop_leaves_everything_as_it_was() -> None:
    whole, outcome = virtual_time.run(_cancelled(-1))
    assert outcome == "moved"
    ends = Counter(virtual_time.run(_cancelled(number))[1] for number in range(len(whole) - 2))
    assert ends["put back"] >= 5, ends
    assert ends["unfinished"] >= 3, ends


def test_a_cancelled_fence_is_not_waited_for() -> None:
    async def story() -> float:
        async with World.alive() as world:
            command = await prepared(world, FIRST)
            asked_s = 0.0

            async def cancelled(opened: Opened, session: Session) -> int:
                def sink(event: Event) -> None:
                    nonlocal asked_s
                    if event.event == "step_progress" and not session.interrupt.asked.is_set():
                        asked_s = asyncio.get_running_loop().time()
                        session.interrupt.ask()
                    session.sink(event)

                return await command(opened, Session(sink, session.interrupt, session.run))

            assert (await world.command(cancelled)).code == 130
            scenario.assert_serves(world)
            return asyncio.get_running_loop().time() - asked_s

    assert virtual_time.run(story()) < 2.0, "the router forgets it after 5 s"


def test_an_engine_that_does_not_come_up_in_its_new_role_leaves_the_way_on_and_the_way_back() -> None:
    async def story(then: UseCase, text: str) -> None:
        async with World.alive() as world:
            command = await prepared(world, FIRST)
            world.nodes["n2"].ends_at_once["n2.main.0"] = ExitEvidence(1, None, 0.0, requested=False)
            failed = await world.command(command)
            assert failed.code == 3
            assert failed.failures and "exit status 1" in failed.failures[0]
            assert world.inventory.text == with_pools("decode", "n2")
            world.nodes["n2"].ends_at_once.clear()
            assert (await world.command(then)).code == 0
            assert world.inventory.text == text
            assert_as_written(world)

    virtual_time.run(story(scenario.bring_up, with_pools("decode", "n2")))
    virtual_time.run(story(moving("n2", to="prefill"), INVENTORY))


def test_what_is_refused_touches_nothing() -> None:
    async def story() -> None:
        async with World.alive() as world:
            await prepared(world, FIRST)
            for selectors, to, why in (
                (("n1", "n2"), "decode", "pool prefill would be left with 0 of at least 1"),
                (("n1", "n2"), "none", "pool prefill would be left with 0 of at least 1"),
                (("n2",), "prefil", "no pool 'prefil'"),
                (("n9",), "decode", "n9"),
            ):
                refused = await world.command(moving(*selectors, to=to))
                assert refused.code in (1, 64)
                assert why in refused.trouble
                assert refused.mutations == []
            scenario.assert_serves(world)

    virtual_time.run(story())


def test_a_file_that_was_edited_meanwhile_is_not_overwritten() -> None:
    async def story() -> None:
        async with World.alive() as world:
            command = await prepared(world, FIRST)

            async def edited_meanwhile(opened: Opened, session: Session) -> int:
                def sink(event: Event) -> None:
                    if event.event == "step_started" and getattr(event, "action", "") == "drain":
                        world.inventory = Edited.by(("settle: 1s", "settle: 2s")).inventory
                    session.sink(event)

                return await command(opened, Session(sink, session.interrupt, session.run))

            result = await world.command(edited_meanwhile)
            assert result.code == 3
            assert "changed by someone else" in result.failures[0]
            assert world.inventory.text == INVENTORY.replace("settle: 1s", "settle: 2s")
            scenario.assert_serves(world)

    virtual_time.run(story())


async def _overtaken(at: int) -> None:
    """Frozen at one call; its lease expires; somebody else's `up` does what the file says; then it goes on."""
    async with World.alive() as world:
        command = await prepared(world, FIRST)
        wire = Wire(at, Fault.FROZEN)
        first = asyncio.create_task(world.command(command, wire))
        await wire.frozen.wait()
        lease = world.lease
        await asyncio.sleep(6)
        if lease is not None:
            world.lease = None
        assert (await world.command(scenario.bring_up)).code == 0
        started = len(world.history.starts)
        wire.thawed.set()
        if lease is not None:
            lease.lose()
        assert (await first).code != 0
        assert len(world.history.starts) == started, "it starts nothing any more"
        assert (await world.command(scenario.bring_up)).code == 0
        assert_as_written(world)


def test_overtaken_at_any_change() -> None:
    async def clean() -> list[str]:
        async with World.alive() as world:
            wire = Wire()
            await world.command(await prepared(world, FIRST), wire)
            return [call.what if call.mutates else "" for call in wire.calls]

    failed = []
    for at, what in enumerate(virtual_time.run(clean())):
        if at and what and what != "record":
            try:
                virtual_time.run(_overtaken(at))
            except AssertionError as error:
                failed.append(f"call {at} ({what}): {error}")
    assert not failed, "\n".join(failed)


def test_a_rollback_that_fails_itself_is_said_so_and_up_mends_it() -> None:
    async def story(fault: Fault) -> None:
        async with World.alive() as world:
            command = await prepared(world, FIRST)
            wire = Wire()
            seen: list[Event] = []

            async def cancelled(opened: Opened, session: Session) -> int:
                def sink(event: Event) -> None:
                    if event.event == "step_started" and getattr(event, "action", "") == "drain":
                        session.interrupt.ask()
                    if event.event == "step_started" and getattr(event, "action", "") == "put back":
                        wire.at, wire.fault = len(wire.calls), fault
                    seen.append(event)

                return await command(opened, Session(sink, session.interrupt, session.run))

            result = await world.command(cancelled, wire)
            assert result.code == 130
            (moved,) = [event for event in seen if isinstance(event, Moved)]
            (ended,) = [event for event in seen if isinstance(event, RunEnded)]
            assert moved.outcome == "not put back"
            assert "could not be put back" in ended.text
            assert world.inventory.text == INVENTORY
            assert (await world.command(scenario.bring_up)).code == 0
            scenario.assert_serves(world)
            scenario.assert_nothing_wrong(world)

    virtual_time.run(story(Fault.REQUEST_LOST))
    virtual_time.run(story(Fault.REPLY_LOST))


def test_a_move_that_was_cut_off_after_its_commit_is_not_called_done() -> None:
    async def story() -> None:
        async with World.alive() as world:
            command = await prepared(world, FIRST)
            wire = Wire()
            await world.command(command, wire)
        writes = [at for at, call in enumerate(wire.calls) if call.what == "write the inventory"]
        async with World.alive() as world:
            command = await prepared(world, FIRST)
            assert (await world.command(command, Wire(writes[0], Fault.KILLED_AFTER))).code is None
            seen: list[Event] = []
            again = await world.command(asking_at(command, -1, seen))
            assert (again.code, again.mutations) == (0, [])
            warned = [event.text for event in seen if isinstance(event, Warned)]
            assert any("n2.main.0 is in decode already and does not serve there" in text for text in warned)

    virtual_time.run(story())


def test_edits_that_are_not_applied_yet_are_left_alone_or_in_the_way() -> None:
    async def story(edit: tuple[str, str]) -> tuple[int | None, str, list[str]]:
        async with World.alive() as world:
            command = await prepared(world, FIRST)
            world.inventory = Edited.by(edit).inventory
            seen: list[Event] = []
            done = await world.command(asking_at(command, -1, seen))
            if done.code == 0:
                assert world.inventory.text == with_pools("decode", "n2").replace(*edit)
                assert world.applied is not None
                assert world.applied.text == with_pools("decode", "n2"), "the edit is not called applied"
                assert (await world.command(scenario.bring_up)).code == 0
                assert_as_written(world)
            return done.code, done.trouble, [event.text for event in seen if isinstance(event, Warned)]

    code, _, warned = virtual_time.run(story(("settle: 1s", "settle: 2s")))
    assert (code, len(warned)) == (0, 1)
    assert "edits that are not applied yet" in warned[0]
    code, trouble, _ = virtual_time.run(story(("mode: write", "mode: read")))
    assert code == 1
    assert "would change what starts on n2.main: kv.mode: write -> read" in trouble
