"""A run of a playbook: its steps, its record on disk, what stops it, and what may go on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from pdctl.bench.fake import ScriptedLoad
from pdctl.control.clock import SystemClock
from pdctl.control.execute import Interrupt
from pdctl.control.journal import Session
from pdctl.control.playbook import Playing
from pdctl.control.playbook_ports import Ended
from pdctl.control.playbook_record import RunStore
from pdctl.control.playbook_runs import Prepared, begin, find_run, go_on, skip_to
from pdctl.control.playbook_verbs import ClusterVerbs
from pdctl.errors import LeaseHeld, PdctlError, PlanRefused, UsageError
from pdctl.inventory.playbook_load import InvalidPlaybook
from pdctl.model.events import Event
from pdctl.model.playbook_events import PlaybookEnded, PlaybookStepEnded
from pdctl.plan.playbook import StepState
from pdctl.plan.playbook_program import Task

INVENTORY = (Path(__file__).parents[2] / "inventories" / "demo.yaml").read_text()
PLAYBOOK = """\
version: 1
name: p
about: a test
vars: {mode: {default: read}}
steps:
  - set: {path: kv.mode, value: "{{ mode }}"}
    undo: [{name: up again, up: }]
  - name: bring it up
    up:
  - confirm: {ask: Go on?}
  - canary:
"""


@dataclass(slots=True)
class Verbs:
    """Real `set` and `confirm` on the file; every other verb ends as `ends` says, by title."""

    real: ClusterVerbs
    ends: dict[str, Callable[[Session], Awaitable[Ended]]] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)

    async def do(self, task: Task, session: Session, was: str | None, *, again: bool) -> Ended:
        self.done.append(task.title)
        if task.verb in ("set", "put back", "confirm"):
            return await self.real.do(task, session, was, again=again)
        scripted = self.ends.get(task.title)
        return await scripted(session) if scripted else Ended(0)

    def written(self, task: Task) -> str | None:
        return self.real.written(task)


class Desk:
    """An operator's machine: a playbook, an inventory, and the records of runs."""

    def __init__(self, directory: Path) -> None:
        self.playbook, self.inventory = directory / "p.yaml", directory / "i.yaml"
        self.playbook.write_text(PLAYBOOK)
        self.inventory.write_text(INVENTORY)
        self.store = RunStore(directory / "runs")
        self.answers: list[str] = []
        self.asked: list[str] = []
        self.events: list[Event] = []
        self.interrupt = Interrupt()
        self.verbs = Verbs(ClusterVerbs(self.inventory, ScriptedLoad([]), self.ask))

    async def ask(self, question: str, answers: tuple[str, ...]) -> str | None:
        self.asked.append(question)
        return self.answers.pop(0) if self.answers else None

    def begin(self) -> Prepared:
        return begin(self.playbook, {}, self.inventory, run="r1", now_s=1.0)

    def go_on(self, *, undo: bool = False, force: bool = False) -> Prepared:
        return go_on(self.store.read("r1"), undo=undo, force=force)

    async def play(self, prepared: Prepared) -> int:
        self.interrupt = Interrupt()
        session = Session(self.events.append, self.interrupt, prepared.record.run)
        playing = Playing(
            prepared.program, prepared.record, self.verbs, self.store.write, session, SystemClock(), self.ask
        )
        return await playing.go()

    @property
    def end(self) -> PlaybookEnded:
        return next(event for event in reversed(self.events) if isinstance(event, PlaybookEnded))

    @property
    def states(self) -> dict[str, str]:
        return {step: record.state.value for step, record in self.store.read("r1").progress.steps.items()}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def failing(session: Session) -> Ended:
    return Ended(4, "n3 could not be asked", "look at it")


async def test_a_run_does_its_steps_in_order_and_ends_done(desk: Desk) -> None:
    desk.answers = ["yes"]
    assert await desk.play(desk.begin()) == 0
    assert desk.verbs.done == ["set kv.mode to read", "bring it up", "Go on?", "canary through every pair"]
    assert desk.inventory.read_text() == INVENTORY.replace("mode: write", "mode: read")
    assert (desk.end.outcome, desk.end.done, desk.end.steps) == ("done", 4, 4)
    assert desk.store.read("r1").outcome == "done"
    assert await desk.play(desk.go_on()) == 0
    assert len(desk.verbs.done) == 4, "a second run of what is done does nothing"


async def test_a_failed_step_stops_with_its_code_and_is_run_again_when_resumed(desk: Desk) -> None:
    desk.verbs.ends["bring it up"] = failing
    assert await desk.play(desk.begin()) == 4
    assert desk.states == {"1": "done", "2": "failed"}
    assert "pdctl run --resume r1" in desk.end.hint and "pdctl run --undo r1" in desk.end.hint
    failed = next(event for event in desk.events if isinstance(event, PlaybookStepEnded) and event.exit_code)
    assert (failed.said, failed.hint) == ("n3 could not be asked", "look at it")
    desk.verbs.ends.clear()
    desk.answers = ["yes"]
    assert await desk.play(desk.go_on()) == 0
    assert desk.verbs.done.count("set kv.mode to read") == 1
    assert desk.verbs.done.count("bring it up") == 2


async def test_undo_goes_backwards_and_leaves_the_inventory_as_it_was_to_the_byte(desk: Desk) -> None:
    desk.verbs.ends["canary through every pair"] = failing
    desk.answers = ["yes"]
    assert await desk.play(desk.begin()) == 4
    desk.verbs.done.clear()
    assert await desk.play(desk.go_on(undo=True)) == 0
    assert desk.verbs.done == ["put kv.mode back", "up again"]
    assert desk.inventory.read_text() == INVENTORY
    assert desk.store.read("r1").outcome == "undone"
    with pytest.raises(PlanRefused, match="taken back"):
        desk.go_on()


async def test_on_failure_undo_takes_all_back_and_still_ends_as_a_failure(desk: Desk) -> None:
    desk.playbook.write_text(PLAYBOOK.replace("    up:\n", "    up:\n    on_failure: undo\n"))
    desk.verbs.ends["bring it up"] = failing
    assert await desk.play(desk.begin()) == 4
    assert desk.verbs.done == ["set kv.mode to read", "bring it up", "put kv.mode back", "up again"]
    assert desk.inventory.read_text() == INVENTORY
    assert desk.end.outcome == "undone"


@pytest.mark.parametrize(
    ("answers", "code", "done"), [([], 4, 1), (["stop"], 4, 1), (["retry", "retry", "stop"], 4, 3), (["undo"], 4, 1)]
)
async def test_on_failure_ask_does_as_it_is_told(desk: Desk, answers: list[str], code: int, done: int) -> None:
    desk.playbook.write_text(PLAYBOOK.replace("    up:\n", "    up:\n    on_failure: ask\n"))
    desk.verbs.ends["bring it up"] = failing
    desk.answers = list(answers)
    assert await desk.play(desk.begin()) == code
    assert desk.verbs.done.count("bring it up") == done
    assert (desk.inventory.read_text() == INVENTORY) is (answers == ["undo"])
    assert desk.asked[0] == "bring it up failed: n3 could not be asked"


async def test_a_question_that_nobody_answers_stops_the_run_there(desk: Desk) -> None:
    assert await desk.play(desk.begin()) == 3
    assert (desk.end.outcome, desk.states) == ("stopped", {"1": "done", "2": "done", "3": "begun"})
    desk.answers = ["no"]
    assert await desk.play(desk.go_on()) == 1
    desk.answers = ["yes"]
    assert await desk.play(desk.go_on()) == 0


async def test_an_interrupt_lets_a_step_reach_its_safe_point_and_begins_no_other(desk: Desk) -> None:
    async def interrupted(session: Session) -> Ended:
        desk.interrupt.ask()
        await session.interrupt.asked.wait()
        return Ended(130)

    desk.verbs.ends["bring it up"] = interrupted
    assert await desk.play(desk.begin()) == 130
    assert (desk.end.outcome, desk.states) == ("stopped", {"1": "done", "2": "begun"})
    assert "pdctl run --resume r1" in desk.end.hint


async def test_an_interrupt_cuts_a_step_short_that_only_looks(desk: Desk) -> None:
    async def for_ever(session: Session) -> Ended:
        desk.interrupt.ask()
        await asyncio.Event().wait()
        raise AssertionError

    desk.verbs.ends["canary through every pair"] = for_ever
    desk.answers = ["yes"]
    async with asyncio.timeout(10):
        assert await desk.play(desk.begin()) == 130
    assert desk.states["4"] == "begun"


async def test_insisting_ends_at_once_and_the_step_counts_as_begun(desk: Desk) -> None:
    async def stubborn(session: Session) -> Ended:
        desk.interrupt.ask()
        desk.interrupt.ask()
        await session.interrupt.insisted.wait()
        raise asyncio.CancelledError

    desk.verbs.ends["bring it up"] = stubborn
    with pytest.raises(asyncio.CancelledError):
        await desk.play(desk.begin())
    assert desk.states == {"1": "done", "2": "begun"}


@pytest.mark.parametrize("title", ["bring it up", "canary through every pair"])
async def test_a_step_that_takes_longer_than_its_timeout_has_failed(desk: Desk, title: str) -> None:
    async def slow(session: Session) -> Ended:
        await session.interrupt.asked.wait()
        return Ended(130)

    verb = "up" if title == "bring it up" else "canary"
    desk.playbook.write_text(PLAYBOOK.replace(f" {verb}:\n", f" {verb}:\n    timeout: 20ms\n"))
    desk.verbs.ends[title] = slow
    desk.answers = ["yes"]
    assert await desk.play(desk.begin()) == 1
    ended = next(event for event in reversed(desk.events) if isinstance(event, PlaybookStepEnded))
    assert (ended.state, ended.said) == ("failed", "its timeout of 0.02 s has passed")


async def test_a_bug_of_ours_fails_its_step_and_leaves_a_run_that_can_be_resumed(desk: Desk) -> None:
    async def broken(session: Session) -> Ended:
        raise KeyError("oops")

    desk.verbs.ends["bring it up"] = broken
    assert await desk.play(desk.begin()) == 1
    assert "KeyError" in next(
        each.said for each in desk.events if isinstance(each, PlaybookStepEnded) and each.exit_code
    )


async def test_a_disk_that_takes_no_record_lets_nothing_begin(desk: Desk) -> None:
    desk.store.root.write_text("no directory")
    assert await desk.play(desk.begin()) == 1
    assert desk.verbs.done == []
    assert desk.inventory.read_text() == INVENTORY


async def test_a_playbook_that_was_changed_since_is_refused_but_by_force(desk: Desk) -> None:
    desk.verbs.ends["bring it up"] = failing
    await desk.play(desk.begin())
    desk.playbook.write_text(PLAYBOOK.replace("bring it up", "bring all up").replace("- canary:", "- smoke:"))
    with pytest.raises(PlanRefused, match="was changed since run r1 began"):
        desk.go_on()
    desk.verbs.done.clear()
    desk.answers = ["yes"]
    assert await desk.play(desk.go_on(force=True)) == 0
    assert desk.verbs.done == ["bring all up", "Go on?", "8 requests through the router"]


async def test_by_force_a_step_that_is_another_now_is_done_again(desk: Desk) -> None:
    desk.verbs.ends["bring it up"] = failing
    await desk.play(desk.begin())
    desk.verbs.ends.clear()
    desk.playbook.write_text(PLAYBOOK.replace('value: "{{ mode }}"', "value: write"))
    desk.answers = ["yes"]
    assert await desk.play(desk.go_on(force=True)) == 0
    assert desk.inventory.read_text() == INVENTORY


async def test_an_inventory_of_another_cluster_is_refused(desk: Desk) -> None:
    await desk.play(desk.begin())
    desk.inventory.write_text(INVENTORY.replace("cluster: demo", "cluster: other"))
    with pytest.raises(PlanRefused, match="is about other now"):
        desk.go_on()


async def test_only_what_is_left_to_do_has_to_fit_the_inventory(desk: Desk) -> None:
    """The node that was compared has moved meanwhile: it has no peer any more, and needs none."""
    compared = "  - gate: {compare: {select: n1, ttft_p99: 10%}}\n"
    desk.playbook.write_text(PLAYBOOK + compared)
    text = desk.inventory.read_text()
    alone = text.replace("nics: 8, pool: prefill}\n  n3", "nics: 8, pool: decode}\n  n3")
    assert alone != text
    assert await desk.play(desk.begin()) == 3
    nodes = text.index("nodes:")
    desk.inventory.write_text(desk.inventory.read_text().replace(text[nodes:], alone[nodes:]))
    with pytest.raises(InvalidPlaybook, match="1 problem"):
        desk.go_on()
    assert await desk.play(desk.go_on(undo=True)) == 0


def test_records_of_runs_that_are_over_are_forgotten_one_day_and_no_others(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pdctl.control.playbook_record.KEPT", 2)
    record = desk.begin().record
    for number, outcome in enumerate(["stopped", "done", "undone", "done", "running"]):
        desk.store.write(replace(record, run=f"r{number}", began_s=float(number), outcome=outcome))
    desk.store.forget_old()
    assert [each.run for each in desk.store.all()] == ["r4", "r3", "r2", "r0"]


async def test_from_leaves_out_what_comes_before(desk: Desk) -> None:
    desk.answers = ["yes"]
    assert await desk.play(skip_to(desk.begin(), "bring it up", 1.0)) == 0
    assert desk.verbs.done == ["bring it up", "Go on?", "canary through every pair"]
    assert desk.states["1"] == StepState.SKIPPED.value
    with pytest.raises(UsageError, match="has no step '9'"):
        skip_to(desk.begin(), "9", 1.0)


async def test_what_a_set_replaced_is_kept_from_its_first_time(desk: Desk) -> None:
    """The controller dies after the write: when the step runs again the new value stands there already."""
    desk.inventory.write_text(INVENTORY)
    desk.verbs.ends["bring it up"] = failing
    await desk.play(desk.begin())
    saved = json.loads((desk.store.root / "r1.json").read_text())
    saved["progress"]["steps"]["1"]["state"] = "begun"
    (desk.store.root / "r1.json").write_text(json.dumps(saved))
    assert await desk.play(desk.go_on()) == 4
    assert await desk.play(desk.go_on(undo=True)) == 0
    assert desk.inventory.read_text() == INVENTORY


def test_two_processes_do_not_go_on_with_one_run(desk: Desk) -> None:
    with desk.store.held("r1"), pytest.raises(LeaseHeld), desk.store.held("r1"):
        pass


@pytest.mark.parametrize("name", ["../x", "", "a b", "x" * 65, "r9"])
def test_a_name_that_is_no_run_is_a_usage_error(desk: Desk, name: str) -> None:
    with pytest.raises(UsageError):
        desk.store.read(name)


def test_a_damaged_record_is_said_to_be_and_hides_no_other(desk: Desk) -> None:
    desk.store.write(desk.begin().record)
    (desk.store.root / "bad.json").write_text("{")
    with pytest.raises(UsageError, match="cannot be read"):
        desk.store.read("bad")
    assert [record.run for record in desk.store.all()] == ["r1"]
    assert find_run(desk.store, "last").run == "r1"


def test_a_record_that_cannot_be_written_is_an_error_with_a_cause(desk: Desk) -> None:
    desk.store.root.write_text("no directory")
    with pytest.raises(PdctlError, match="cannot be written"):
        desk.store.write(desk.begin().record)
