"""A step of a playbook whose controller died in it: taken back, or done again, it leaves what it says it leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pdctl.bench.fake import ScriptedLoad
from pdctl.control.drain import drain, undrain
from pdctl.control.execute import Interrupt
from pdctl.control.journal import Session
from pdctl.control.move import move
from pdctl.control.opened import Opened
from pdctl.control.playbook_ports import Ended
from pdctl.control.playbook_verbs import ClusterVerbs
from pdctl.control.request import DrainRequest, MoveRequest, UndrainRequest
from pdctl.inventory.playbook_schema import MoveVerb, UndrainVerb
from pdctl.plan.playbook_program import Task
from tests.crash import scenario, virtual_time
from tests.crash.routing import TTL_S
from tests.crash.wire import Fault, Wire
from tests.crash.world import PARSED, UseCase, World

BACK = Task("2.undo.1", "move n2 back", "move", MoveVerb(select="n2", to="prefill"))
UNDRAIN = Task("4", "undrain n4", "undrain", UndrainVerb(select="n4"))


@pytest.fixture(autouse=True)
def _state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


async def taken_out(opened: Opened, session: Session) -> int:
    return await drain(opened, DrainRequest(("n4",), stop=True), session)


async def played(world: World, task: Task, *, again: bool = False) -> Ended:
    """One step of a playbook, by a controller that lives."""

    @asynccontextmanager
    async def opening(path: Path) -> AsyncIterator[Opened]:
        yield world._opened(Wire())

    async def nobody(question: str, answers: object) -> None:
        return None

    verbs = ClusterVerbs(PARSED.path, ScriptedLoad([]), nobody, opening)
    return await verbs.do(task, Session(lambda event: None, Interrupt(), "run"), None, again=again)


async def moved(opened: Opened, session: Session) -> int:
    return await move(opened, MoveRequest(("n2",), "decode"), session)


async def brought_back(opened: Opened, session: Session) -> int:
    return await undrain(opened, UndrainRequest(("n4",)), session)


CASES = {
    "a move, taken back": ((scenario.bring_up,), moved, BACK, False),
    "an undrain, done again": ((scenario.bring_up, taken_out), brought_back, UNDRAIN, True),
}


async def prepared(world: World, before: tuple[UseCase, ...]) -> None:
    for act in before:
        assert (await world.command(act)).code == 0


def mutations(before: tuple[UseCase, ...], act: UseCase) -> list[int]:
    """Which calls of the command change something."""
    found: list[int] = []

    async def story() -> None:
        async with World.alive() as world:
            await prepared(world, before)
            found.extend(at for at, call in enumerate((await world.command(act)).calls) if call.mutates)

    virtual_time.run(story())
    return found


@pytest.mark.parametrize("name", CASES)
def test_whose_controller_was_killed_at_any_change_serves_as_before(name: str) -> None:
    before, act, task, again = CASES[name]
    failed = []
    for at in mutations(before, act):

        async def story(at: int = at) -> None:
            async with World.alive() as world:
                await prepared(world, before)
                assert (await world.command(act, Wire(at, Fault.KILLED_AFTER))).code is None
                await asyncio.sleep(TTL_S)  # what was stopping has stopped
                assert await played(world, task, again=again) == Ended(0)
                assert world.inventory.text == PARSED.text
                scenario.assert_serves(world)
                scenario.assert_nothing_wrong(world)

        try:
            virtual_time.run(story())
        except AssertionError as error:
            failed.append(f"killed after call {at}: {error}")
    assert not failed, "\n".join(failed)


def test_in_a_cluster_that_is_down_a_move_that_is_taken_back_starts_nothing() -> None:
    async def story() -> None:
        async with World.alive() as world:
            await prepared(world, (moved,))
            assert await played(world, BACK) == Ended(0)
            assert world.inventory.text == PARSED.text
            assert world.history.starts == []

    virtual_time.run(story())
