"""A controller that stops at any call and goes on when another one has done its work: it does no harm any more."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.crash import scenario, virtual_time
from tests.crash.test_crash_points import COMMANDS, calls_of
from tests.crash.wire import Fault, Wire
from tests.crash.world import World


@pytest.fixture(autouse=True)
def _state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


async def overtaken(name: str, at: int) -> None:
    """Frozen at call number `at`; its lease expires; another operator's `up` does it all; then it goes on."""
    before, command = COMMANDS[name]
    async with World.alive() as world:
        for earlier in before:
            assert (await world.command(earlier)).code == 0
        wire = Wire(at, Fault.FROZEN)
        first = asyncio.create_task(world.command(command, wire))
        await wire.frozen.wait()
        lease = world.lease
        await asyncio.sleep(6)
        if lease is not None:
            world.lease = None
        second = await world.command(scenario.bring_up)
        assert (second.code, second.failures) == (0, [])
        scenario.assert_serves(world)
        wire.thawed.set()
        if lease is not None:
            lease.lose()
        late = await first
        assert late.code != 0
        scenario.assert_serves(world)
        again = await world.command(scenario.bring_up)
        assert (again.code, again.mutations) == (0, [])
        scenario.assert_nothing_wrong(world)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_overtaken_at_any_change(name: str) -> None:
    failed = []
    for at, call in enumerate(calls_of(name)):
        if at == 0 or not call.mutates or call.what == "record":
            continue
        try:
            virtual_time.run(overtaken(name, at))
        except AssertionError as error:
            failed.append(f"call {at} ({call.node} {call.what}): {error}")
    assert not failed, "\n".join(failed)
