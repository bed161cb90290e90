"""Every point at which a controller can be lost, in every command: the next `up`, from another machine, converges."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.crash import scenario, virtual_time
from tests.crash.wire import Call, Fault, Wire
from tests.crash.world import Result, UseCase, World

COMMANDS: dict[str, tuple[tuple[UseCase, ...], UseCase]] = {
    "up from nothing": ((), scenario.bring_up),
    "restart of all": ((scenario.bring_up,), scenario.relaunch),
    "down": ((scenario.bring_up,), scenario.take_down),
}
"""What went before, and the command that is interrupted."""


async def interrupted(world: World, name: str, at: int, fault: Fault) -> Result:
    """Play `name` with a fault at its call number `at` (-1: none)."""
    before, command = COMMANDS[name]
    for earlier in before:
        assert (await world.command(earlier)).code == 0
    return await world.command(command, Wire(at, fault))


def calls_of(name: str) -> list[Call]:
    """The calls of a run without any fault."""

    async def story() -> list[Call]:
        async with World.alive() as world:
            return (await interrupted(world, name, -1, Fault.REQUEST_LOST)).calls

    return virtual_time.run(story())


KILLS = (Fault.KILLED_BEFORE, Fault.KILLED_AFTER)
LOSSES = (*KILLS, Fault.REQUEST_LOST, Fault.REPLY_LOST)


Rerun = Callable[[str, int, Fault], Coroutine[Any, Any, None]]


async def converges(name: str, at: int, fault: Fault) -> None:
    """Interrupted, then `up` from another machine, then `up` once more."""
    async with World.alive() as world:
        broken = await interrupted(world, name, at, fault)
        assert (broken.code is None) == (fault in KILLS)
        rerun = await world.command(scenario.bring_up)
        assert (rerun.code, rerun.failures) == (0, []), rerun.trouble
        scenario.assert_serves(world)
        again = await world.command(scenario.bring_up)
        assert (again.code, again.mutations) == (0, [])
        scenario.assert_nothing_wrong(world)


async def comes_down(name: str, at: int, fault: Fault) -> None:
    """Interrupted, then `down` from another machine."""
    async with World.alive() as world:
        await interrupted(world, name, at, fault)
        rerun = await world.command(scenario.take_down)
        assert (rerun.code, rerun.failures) == (0, []), rerun.trouble
        scenario.assert_nothing_left(world)
        scenario.assert_nothing_wrong(world)


@pytest.fixture(autouse=True)
def _state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


# What `down` finds after a loss is what `up` finds, and it does the same to all of it: one fault of each command.
CASES = [
    pytest.param(
        name,
        fault,
        rerun,
        id=f"{then}-{name}-{fault.name.lower()}",
        marks=[] if rerun is converges or fault is Fault.KILLED_AFTER else pytest.mark.slow,
    )
    for then, rerun in {"then up": converges, "then down": comes_down}.items()
    for name in COMMANDS
    for fault in LOSSES
]


@pytest.mark.parametrize(("name", "fault", "rerun"), CASES)
def test_lost_at_any_call(name: str, fault: Fault, rerun: Rerun) -> None:
    calls = calls_of(name)
    # Killed around a read is killed after the call before it, and a read that is lost on its way back is to the
    # cluster and to the controller what one is that never went out.
    reads_too = fault is Fault.REQUEST_LOST and rerun is converges
    failed = []
    for at, call in enumerate(calls):
        if not (call.mutates or reads_too):
            continue
        try:
            virtual_time.run(rerun(name, at, fault))
        except AssertionError as error:
            failed.append(f"call {at} ({call.node} {call.what}): {error}")
    assert not failed, "\n".join(failed)
