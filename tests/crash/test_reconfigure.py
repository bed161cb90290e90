"""An edited inventory is applied in waves, above the floors; what fails stops it, what is lost is gone on with."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdctl.control.up import UpOptions
from pdctl.model.unit import ExitEvidence
from tests.crash import scenario, virtual_time
from tests.crash.edits import Edited, census
from tests.crash.wire import Call, Fault, Wire
from tests.crash.world import World

DECODE = "decode: {role: decode, parallel: {tp: 8}, min_instances: 1"
N2 = "nics: 8, pool: prefill}\n  n3"
N5 = "  n5: {host: 10.0.0.5, data_address: 10.1.0.5, gpu: mi300x, gpus: 8, nics: 8, pool: decode}\n"

SETTINGS = Edited.by((DECODE, DECODE + ", args: {max-num-seqs: 64}"))
EDITS = {
    "settings of a pool": SETTINGS,
    "a slot goes to another pool": Edited.by((N5, N5.replace("pool: decode", "pool: prefill"))),
    "a node is removed": Edited.by((N5, "")),
    "settings, a move and a removal": Edited.by(
        (DECODE, DECODE + ", args: {max-num-seqs: 64}"), (N2, N2.replace("prefill", "decode")), (N5, "")
    ),
}


@pytest.fixture(autouse=True)
def _state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


async def serving(world: World) -> None:
    assert (await world.command(scenario.bring_up)).code == 0


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_is_applied_above_the_floors_and_a_second_up_has_nothing_to_do(name: str) -> None:
    edited = EDITS[name]

    async def story() -> None:
        async with World.alive() as world:
            await serving(world)
            async with census(world) as seen:
                done = await world.command(edited.up())
            assert (done.code, done.failures) == (0, []), done.trouble
            edited.assert_serves(world)
            assert seen.fewest["prefill"] >= 1 and seen.fewest["decode"] >= 2 - ("move" in name)
            again = await world.command(edited.up())
            assert (again.code, again.mutations) == (0, [])
            assert world.history.wrongs == []

    virtual_time.run(story())


def test_what_runs_as_it_was_is_replaced_one_at_a_time_and_more_at_once_if_asked() -> None:
    async def fewest(at_once: int) -> int:
        async with World.alive() as world:
            await serving(world)
            async with census(world) as seen:
                assert (await world.command(SETTINGS.up(UpOptions(at_once=at_once)))).code == 0
            return seen.fewest["decode"]

    assert [virtual_time.run(fewest(at_once)) for at_once in (1, 2, 9)] == [2, 1, 1]


def test_a_wave_that_fails_is_the_last_one() -> None:
    """Row 53: what works is kept, exit 3, and once the cause is mended the same command goes on."""

    async def story() -> None:
        async with World.alive() as world:
            await serving(world)
            world.nodes["n3"].ends_at_once["n3.main.0"] = ExitEvidence(1, None, 0.0, requested=False)
            async with census(world) as seen:
                stopped = await world.command(SETTINGS.up())
            assert stopped.code == 3
            assert {call.node for call in stopped.calls if call.what.startswith("start ")} == {"n3"}
            assert seen.fewest["decode"] == 2
            world.nodes["n3"].ends_at_once.clear()
            assert (await world.command(SETTINGS.up())).code == 0
            SETTINGS.assert_serves(world)

    virtual_time.run(story())


def test_with_too_much_of_a_pool_out_of_reach_nothing_more_of_it_is_replaced() -> None:
    """Row 53: what is out of reach counts as failed."""

    looked = next(at for at, call in enumerate(calls_of(SETTINGS)) if (call.what, call.node) == ("inspect", "n5"))

    async def story() -> None:
        async with World.alive() as world:
            await serving(world)
            refused = await world.command(SETTINGS.up(), Wire(looked, Fault.REQUEST_LOST))
            assert (refused.code, [what for what in refused.mutations if "start " in what or "stop " in what]) == (
                4,
                [],
            )
            assert (await world.command(SETTINGS.up())).code == 0
            SETTINGS.assert_serves(world)

    virtual_time.run(story())


def test_the_last_of_a_role_is_not_replaced_unless_forced() -> None:
    """Row 41: refused below the floor, and nothing is touched."""
    floor = Edited.by((DECODE, DECODE.replace("min_instances: 1", "min_instances: 3") + ", args: {max-num-seqs: 64}"))

    async def story() -> None:
        async with World.alive() as world:
            await serving(world)
            refused = await world.command(floor.up())
            assert (refused.code, refused.mutations) == (1, [])
            assert "pool decode would have 2 of at least 3 for a while" in refused.trouble
            assert (await world.command(floor.up(UpOptions(force=True)))).code == 0
            floor.assert_serves(world)

    virtual_time.run(story())


def calls_of(edited: Edited) -> list[Call]:
    calls: list[Call] = []

    async def story() -> None:
        async with World.alive() as world:
            await serving(world)
            calls.extend((await world.command(edited.up())).calls)

    virtual_time.run(story())
    return calls


# Killed before a call is killed after the one before it; a request that is lost leaves less done than a reply that is.
LOSSES = [
    Fault.KILLED_AFTER,
    pytest.param(Fault.REPLY_LOST, marks=pytest.mark.slow),
    pytest.param(Fault.KILLED_BEFORE, marks=pytest.mark.slow),
    pytest.param(Fault.REQUEST_LOST, marks=pytest.mark.slow),
]
MIXED = "settings, a move and a removal"


@pytest.mark.parametrize("fault", LOSSES, ids=lambda fault: fault.name.lower())
def test_lost_at_any_call_of_a_reconfiguration(fault: Fault) -> None:
    """The floors hold on the way, and the next `up`, from another machine, brings what was asked for."""
    edited = EDITS[MIXED]
    failed = []
    for at, call in enumerate(calls_of(edited)):
        if not call.mutates:
            continue

        async def story(at: int = at) -> None:
            async with World.alive() as world:
                await serving(world)
                async with census(world) as seen:
                    await world.command(edited.up(), Wire(at, fault))
                    rerun = await world.command(edited.up())
                assert (rerun.code, rerun.failures) == (0, []), rerun.trouble
                edited.assert_serves(world)
                assert min(seen.fewest.values()) >= 1
                again = await world.command(edited.up())
                assert (again.code, again.mutations) == (0, [])
                assert world.history.wrongs == []

        try:
            virtual_time.run(story())
        except AssertionError as error:
            failed.append(f"call {at} ({call.node} {call.what}): {error}")
    assert not failed, "\n".join(failed)
