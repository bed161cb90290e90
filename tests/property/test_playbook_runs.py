"""Whatever dies or fails at whatever point of a playbook: it is gone on with or taken back, and both come to an end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from pdctl.control.clock import SystemClock
from pdctl.control.execute import Interrupt
from pdctl.control.journal import Session
from pdctl.control.playbook import Playing
from pdctl.control.playbook_ports import Ended
from pdctl.control.playbook_record import RunRecord
from pdctl.errors import PdctlError
from pdctl.inventory.playbook_schema import UpVerb
from pdctl.model.events import Event
from pdctl.plan.playbook import Direction, StepState, taking_back, turned_back
from pdctl.plan.playbook_program import Program, Task

MOST_RUNS = 60


class Killed(BaseException):
    """The controller's process is gone."""


@dataclass(slots=True)
class World:
    """Effects, the record on disk, and the faults that are left to happen."""

    faults: Mapping[int, str]  # by the number of the chance
    saved: RunRecord
    chances: int = 0
    calls: list[str] = field(default_factory=list)
    effects: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def fault(self) -> str:
        self.chances += 1
        return self.faults.get(self.chances, "none")

    def keep(self, record: RunRecord) -> None:
        match self.fault():
            case "die before":
                raise Killed
            case "die after":
                self.saved = record
                raise Killed
            case "fail":
                raise PdctlError("the disk is full")
        self.saved = record

    async def do(self, task: Task, session: Session, was: str | None, *, again: bool) -> Ended:
        done = self.saved.progress.state(task) is StepState.DONE
        assert not done, f"{task.id} runs again although it is on record as done"
        assert self.saved.progress.state(task) is StepState.BEGUN, "no step begins unrecorded"
        self.calls.append(task.id)
        fault = self.fault()
        if fault == "die before":
            raise Killed
        if fault == "fail":
            return Ended(1, "it failed")
        self.effects.append(task.id)
        if fault == "die after":
            raise Killed
        if fault == "interrupt":
            session.interrupt.ask()
            return Ended(130)
        return Ended(0)

    def written(self, task: Task) -> str | None:
        return None


def task(number: int, undo: int, on_failure: str) -> Task:
    back = tuple(Task(f"{number}.undo.{place}", "back", "up", UpVerb()) for place in range(1, undo + 1))
    return Task(str(number), "forth", "up", UpVerb(), undo=back, on_failure=on_failure)


async def nobody(question: str, answers: tuple[str, ...]) -> str | None:
    return None


async def once(world: World, program: Program) -> int | None:
    """One process: None if it was killed."""
    session = Session(world.events.append, Interrupt(), "run")
    playing = Playing(program, world.saved, world, world.keep, session, SystemClock(), nobody)
    try:
        return await playing.go()
    except (Killed, PdctlError):
        return None


KINDS = ("die before", "die after", "fail", "interrupt")
FAULTS = st.dictionaries(st.integers(1, 40), st.sampled_from(KINDS), max_size=6)
TASKS = st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["stop", "undo", "ask"])), min_size=1, max_size=6)


@settings(max_examples=100)
@given(TASKS, FAULTS, st.none() | st.integers(1, 3))
def test_every_run_comes_to_done_or_undone_and_nothing_runs_twice_after_it_was_recorded(
    shapes: list[tuple[int, str]], faults: dict[int, str], undo_at: int | None
) -> None:
    program = Program("p", tuple(task(place, *shape) for place, shape in enumerate(shapes, 1)))
    record = RunRecord("run", "p", "/p", "", "/i", "c", "op", 0.0, 0.0)
    world = World(faults, record)

    async def until_it_ends() -> None:
        for number in range(1, MOST_RUNS):
            code = await once(world, program)
            if world.saved.outcome in ("done", "undone"):
                assert code is None or (code == 0) or world.saved.progress.direction is Direction.BACK
                return
            if number == undo_at:
                world.saved = replace(world.saved, progress=turned_back(world.saved.progress))
        raise AssertionError(f"never ends: {world.saved}")

    asyncio.run(until_it_ends())
    forth = [each.id for each in program.tasks]
    firsts = [id_ for id_ in dict.fromkeys(world.calls) if id_ in forth]
    assert firsts == forth[: len(firsts)], "steps begin in their order"
    if world.saved.outcome == "done":
        assert set(forth) <= set(world.effects)
        assert not [id_ for id_ in world.calls if ".undo." in id_]
    else:
        begun = [id_ for id_ in forth if id_ in world.saved.progress.steps]
        expected = [step.id for id_ in reversed(begun) for step in program.tasks[int(id_) - 1].undo]
        assert list(dict.fromkeys(id_ for id_ in world.calls if ".undo." in id_)) == expected
        assert set(expected) <= set(world.effects)
        assert [step.id for step in taking_back(program, world.saved.progress)] == expected


def test_a_fault_is_a_fault() -> None:
    """The property above could not fail if the faults did nothing."""
    world = World({1: "die after"}, RunRecord("run", "p", "/p", "", "/i", "c", "op", 0.0, 0.0))
    program = Program("p", (task(1, 1, "stop"),))
    assert asyncio.run(once(world, program)) is None
    assert world.calls == []
    assert world.saved.progress.steps["1"].state is StepState.BEGUN
