"""`watch --auto` in a simulated cluster: what the policy decides becomes a suggestion, an ordinary move, or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from pdctl.advisor.observation import Observation
from pdctl.advisor.policy import Action, Decision, Rebalancer
from pdctl.control.cluster import Cluster
from pdctl.control.decision_book import DecisionBook
from pdctl.control.history import Record
from pdctl.control.hold_record import HoldRecord
from pdctl.control.journal import Session
from pdctl.control.opened import Opened
from pdctl.control.rebalance import Mode, Rebalance
from pdctl.model.events import Event, Moved, StepStarted
from pdctl.model.hold import Hold, HoldKind
from pdctl.model.keeper_events import MoveSuggested, RatioDecided, Rebalanced, Rebalancing
from pdctl.model.role import Role
from pdctl.model.snapshot import InstanceFigures, Snapshot
from pdctl.perf.days.ratio import Ratio
from pdctl.plan.steps import Action as Step
from tests.crash import scenario, virtual_time
from tests.crash.edits import Edited
from tests.crash.signals import asking_at
from tests.crash.wire import Fault, Killed, Wire
from tests.crash.world import DEPLOYMENT, Result, UseCase, World
from tests.tui.fleet import exact, instance, pool, snapshot


@pytest.fixture(autouse=True)
def _state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


@dataclass(slots=True)
class Scripted:
    """A policy that wants one move from prefill to decode as soon as it may, and remembers what it was shown."""

    shown: list[Observation] = field(default_factory=list)

    def tick(self, seen: Observation) -> Decision:
        self.shown.append(seen)
        wants = seen.ratio.prefill > 1 and not seen.held and seen.moving is None and not seen.stale
        action, donor = (Action.MOVE, Role.PREFILL) if wants else (Action.HOLD, None)
        return Decision(seen.at_s, action, seen.ratio, Ratio(1, 4), donor, "decode is full", {"load": 1.2})


def seen(deployment: Any, tick: int) -> Snapshot:
    """The fleet as its inventory says it, n1's load above the others'."""
    roles = {slot.node: deployment.pools[slot.pool].role for slot in deployment.slots}
    base = snapshot(2, 3, tick=tick, cluster=deployment.cluster)

    def one(number: int, role: Role) -> InstanceFigures:
        made = instance(number, role)
        busy = replace(made.load, running=exact(9.0 if number == 1 else 3.0))
        return replace(made, name=f"n{number}.main.0", node=f"n{number}", load=busy)

    instances = [one(number, roles[f"n{number}"]) for number in range(1, 6)]
    pools = {role.value: pool(role, [each for each in instances if each.role is role]) for role in set(roles.values())}
    return replace(base, instances={each.name: each for each in instances}, pools=pools)


Read = Callable[[Cluster, int], Awaitable[Record]]


def watcher(
    world: World, mode: Mode, policy: Scripted, ticks: int, read: Read | None = None, wire: Wire | None = None
) -> UseCase:
    """A watcher that looks every second, for so many ticks of the policy: one in three seconds. It ends at an
    interrupt, as the keeper's loop does, and where its `wire` is dead."""

    async def look_up(cluster: Cluster, lines: int) -> Record:
        running = "move" if world.lease is not None else ""
        return Record((), world.applied, holds=HoldRecord(world.holds), running=running)

    async def act(opened: Opened, session: Session) -> int:
        @asynccontextmanager
        async def again(path: Path) -> AsyncIterator[Opened]:
            yield opened

        rebalance = Rebalance(
            session,
            opened.cluster.clock,
            mode,
            cast(Rebalancer, policy),
            DecisionBook.of("crash"),
            again,
            pace=10.0,
            read=read or look_up,
        )
        for second in range(3 * ticks + 1):
            if session.interrupt.asked.is_set():
                break
            if wire is not None and wire.dead:
                raise Killed
            rebalance.take(seen(world.deployment, second))
            await rebalance.look(
                Opened(replace(opened.cluster, deployment=world.deployment), opened.inventory, opened.written)
            )
            await asyncio.sleep(1)
        await rebalance.settle()
        return 0

    return act


def run(story: Coroutine[Any, Any, None]) -> None:
    virtual_time.run(story)


def told(result: Result, *kinds: type) -> list[Any]:
    return [event for event in result.events if isinstance(event, kinds)]


def pools(world: World) -> dict[str, str | None]:
    return {slot.node: slot.pool for slot in world.deployment.slots}


async def watched(world: World, mode: Mode, policy: Scripted, ticks: int) -> Result:
    assert (await world.command(scenario.bring_up)).code == 0
    return await world.command(watcher(world, mode, policy, ticks))


def test_it_moves_the_idler_slot_once_by_the_ordinary_move_and_then_holds() -> None:
    async def story() -> None:
        async with World.alive() as world:
            policy = Scripted()
            result = await watched(world, Mode.APPLY, policy, 20)
            assert pools(world) == {"n1": "prefill", "n2": "decode", "n3": "decode", "n4": "decode", "n5": "decode"}
            assert [(event.slot, event.pool) for event in told(result, Rebalancing)] == [("n2.main", "decode")]
            assert [event.exit_code for event in told(result, Rebalanced)] == [0]
            moving = [each for each in policy.shown if each.moving is Role.PREFILL]
            assert moving, "the policy is told that a move of its own is under way"
            assert policy.shown[-1].ratio == Ratio(1, 4)
            assert "moved" in {entry["event"] for entry in world.journal}, "it is journaled like anybody's"
            scenario.assert_nothing_wrong(world)
            last = DecisionBook.of("crash").last()
            assert [entry["event"] for entry in last if entry["event"] != "ratio_decided"] == [
                "rebalancing",
                "rebalanced",
            ]
            assert all(entry["numbers"] for entry in last if entry["event"] == "ratio_decided")

    run(story())


def test_a_suggestion_names_the_command_and_touches_nothing() -> None:
    async def story() -> None:
        async with World.alive() as world:
            result = await watched(world, Mode.SUGGEST, Scripted(), 2)
            assert told(result, MoveSuggested)[0].command == ("pdctl", "move", "n2.main", "--to", "decode")
            assert not [call for call in result.calls if call.mutates]
            assert pools(world)["n2"] == "prefill"

    run(story())


def test_a_pinned_slot_is_not_moved_and_one_that_is_all_there_is_says_so() -> None:
    async def story() -> None:
        async with World.alive() as world:
            world.holds = tuple(Hold(f"n{n}.main", HoldKind.PINNED, "ops", "tuned", 0.0) for n in (1, 2))
            result = await watched(world, Mode.APPLY, Scripted(), 2)
            assert pools(world)["n2"] == "prefill"
            assert any("no slot of prefill is free" in event.reason for event in told(result, RatioDecided))

    run(story())


def test_while_somebody_else_is_at_work_it_holds() -> None:
    async def story() -> None:
        async with World.alive() as world:
            assert (await world.command(scenario.bring_up)).code == 0
            world.lease = cast(Any, object())
            policy = Scripted()
            result = await world.command(watcher(world, Mode.APPLY, policy, 2))
            assert {each.held for each in policy.shown} == {"`move` is at work"}
            assert not told(result, Rebalancing)
            world.lease = None

    run(story())


def test_a_move_that_is_refused_is_not_asked_for_at_every_tick() -> None:
    async def story() -> None:
        async with World.alive() as world:
            assert (await world.command(scenario.bring_up)).code == 0
            world.lease = cast(Any, object())  # taken between the policy's look and the move's own

            async def blind(cluster: Cluster, lines: int) -> Record:
                return Record((), world.applied, holds=HoldRecord(world.holds), running="")

            result = await world.command(watcher(world, Mode.APPLY, Scripted(), 20, read=blind))
            world.lease = None
            tried = told(result, Rebalanced)
            assert len(tried) == 2, "at once, and when the wait of 30 s (300 at the pace of life) is over"
            assert all(event.exit_code == 75 for event in tried)
            held = [event.reason for event in told(result, RatioDecided) if "tried again in" in event.reason]
            assert len(held) > 10 and "ended with 75" in held[0]

    run(story())


def test_a_slot_that_is_pinned_between_the_decision_and_its_move_stays() -> None:
    async def story() -> None:
        async with World.alive() as world:
            assert (await world.command(scenario.bring_up)).code == 0
            pinned = tuple(Hold(f"n{n}.main", HoldKind.PINNED, "ops", "tuned", 0.0) for n in (1, 2))

            async def pins_then(cluster: Cluster, lines: int) -> Record:
                found = Record((), world.applied, holds=HoldRecord(world.holds), running="")
                world.holds = pinned
                return found

            result = await world.command(watcher(world, Mode.APPLY, Scripted(), 3, read=pins_then))
            assert pools(world)["n2"] == "prefill"
            assert [event.exit_code for event in told(result, Rebalanced)] != [0]
            assert not [call for call in result.calls if call.mutates and "start" in call.what]
            scenario.assert_serves(world)

    run(story())


def test_ctrl_c_before_the_point_of_no_return_takes_its_move_back() -> None:
    async def interrupted(number: int) -> tuple[list[Event], dict[str, str | None]]:
        async with World.alive() as world:
            assert (await world.command(scenario.bring_up)).code == 0
            events: list[Event] = []
            await world.command(asking_at(watcher(world, Mode.APPLY, Scripted(), 20), number, events))
            if pools(world)["n2"] == "prefill":
                scenario.assert_serves(world)
            assert (await world.command(scenario.bring_up)).code == 0
            scenario.assert_nothing_wrong(world)
            return events, pools(world)

    whole, _ = virtual_time.run(interrupted(-1))
    at = {event.action: number for number, event in enumerate(whole) if isinstance(event, StepStarted)}
    for action in (Step.FENCE, Step.DRAIN):
        events, now = virtual_time.run(interrupted(at[action]))
        assert now["n2"] == "prefill", action
        assert [event.outcome for event in events if isinstance(event, Moved)] == ["put back"], action
        assert [event.exit_code for event in events if isinstance(event, Rebalanced)] == [130], action
    _, now = virtual_time.run(interrupted(at[Step.STOP]))
    assert now["n2"] == "decode", "what was written is what `up` makes true"


async def _killed(at: int) -> None:
    async with World.alive() as world:
        assert (await world.command(scenario.bring_up)).code == 0
        wire = Wire(at, Fault.KILLED_AFTER)
        broken = await world.command(watcher(world, Mode.APPLY, Scripted(), 20, wire=wire), wire)
        assert broken.code is None
        again = await world.command(watcher(world, Mode.APPLY, Scripted(), 20))
        assert again.code == 0
        assert pools(world)["n2"] == "decode", "the next watcher has gone on with it, or had no more to do"
        assert (await world.command(scenario.bring_up)).code == 0
        Edited(world.inventory, world.deployment).assert_serves(world)
        scenario.assert_nothing_wrong(world)


def test_a_watcher_that_is_killed_at_any_change_of_its_move_leaves_what_the_next_one_goes_on_with() -> None:
    async def clean() -> list[bool]:
        async with World.alive() as world:
            assert (await world.command(scenario.bring_up)).code == 0
            wire = Wire()
            await world.command(watcher(world, Mode.APPLY, Scripted(), 20), wire)
            return [call.mutates for call in wire.calls]

    failed = []
    for at, mutates in enumerate(virtual_time.run(clean())):
        if mutates:
            try:
                virtual_time.run(_killed(at))
            except AssertionError as error:
                failed.append(f"call {at}: {error}")
    assert not failed, "\n".join(failed)


def names(entries: Iterable[Any]) -> list[str]:
    return [entry["event"] for entry in entries]


def test_the_book_keeps_the_last_decisions_and_passes_over_what_is_none(tmp_path: Path) -> None:
    book = DecisionBook(tmp_path / "c" / "decisions.jsonl")
    for number in range(30):
        book.add(float(number), RatioDecided("hold", "2P3D", "", f"reason {number}", {"load": 0.5}))
    with book.path.open("a") as file:
        file.write('{"event": torn\n')
    last = book.last()
    assert len(last) == 19
    assert last[-1]["reason"] == "reason 29"
    assert names(last) == ["ratio_decided"] * 19
    assert DEPLOYMENT.cluster == "crash"
