"""The loop that runs a plan: order, failures, the operator's signals, and the events that say so."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from pdctl.control.clock import SystemClock
from pdctl.control.execute import WAITS_ONLY, End, Interrupt, Tally, execute
from pdctl.errors import ConnectionLost, InstanceError, Unreachable
from pdctl.model.events import Event, StepDone, StepFailed, StepSkipped, StepStarted
from pdctl.plan.steps import Action, Plan, Step, step_id

Body = Callable[[Step], Awaitable[Mapping[str, Any]]]


def step(action: Action, subject: str = "a", *, needs: tuple[str, ...] = (), after: tuple[str, ...] = ()) -> Step:
    return Step(action, subject, "n1", "test", needs=needs, after=after)


START, READY, REGISTER, STOP = Action.START, Action.AWAIT_READY, Action.REGISTER, Action.STOP
CHAIN = (
    step(START),
    step(READY, needs=(step_id(START, "a"),)),
    step(REGISTER, needs=(step_id(READY, "a"),)),
)


@dataclass
class Stage:
    """Runs plans whose steps do nothing, but for those in `bodies` (by step id)."""

    bodies: dict[str, Body] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    interrupt: Interrupt = field(default_factory=Interrupt)
    emit: Callable[[Event], Awaitable[None]] | None = None

    async def run(self, *steps: Step) -> Tally:
        handlers = dict.fromkeys(Action, self._handle)
        emit = self.emit or self._emit
        return await execute(Plan("test", (), steps), handlers, emit, SystemClock(), self.interrupt)

    async def _handle(self, step: Step) -> Mapping[str, Any]:
        body = self.bodies.get(step.id)
        return {} if body is None else await body(step)

    async def _emit(self, event: Event) -> None:
        self.events.append(event)

    def said(self, *kinds: type[Event]) -> list[str]:
        """Steps of the events of those kinds, in order."""
        return [event.step for event in self.events if isinstance(event, kinds) and hasattr(event, "step")]


@pytest.fixture
async def stage() -> Stage:
    return Stage()


class Gate:
    """A handler that begins and then waits until it is let go."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go = asyncio.Event()
        self.cancelled = False

    async def __call__(self, step: Step) -> Mapping[str, Any]:
        self.begun.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return {"through": True}


def raising(error: Exception) -> Body:
    async def body(step: Step) -> Mapping[str, Any]:
        raise error

    return body


async def test_a_step_starts_only_when_what_it_needs_is_done(stage: Stage) -> None:
    tally = await stage.run(*reversed(CHAIN))
    assert [(type(event), event.step) for event in stage.events if isinstance(event, StepStarted | StepDone)] == [
        (kind, each.id) for each in CHAIN for kind in (StepStarted, StepDone)
    ]
    assert set(tally.ends.values()) == {End.DONE}


async def test_independent_steps_run_at_the_same_time(stage: Stage) -> None:
    gates = {f"start:{name}": Gate() for name in "abc"}
    stage.bodies.update(gates)
    running = asyncio.create_task(stage.run(*(step(START, name) for name in "abc")))
    async with asyncio.timeout(5):
        await asyncio.gather(*(gate.begun.wait() for gate in gates.values()))
    for gate in gates.values():
        gate.go.set()
    assert (await running).count(End.DONE) == 3


async def test_a_failure_skips_what_needs_it_and_nothing_else(stage: Stage) -> None:
    stage.bodies["await_ready:a"] = raising(InstanceError("a", "exit status 1", hint="look"))
    tally = await stage.run(*CHAIN, step(START, "b"), step(REGISTER, "b", needs=("start:b",)))
    assert stage.said(StepSkipped) == ["register:a"]
    assert stage.said(StepDone) == ["start:a", "start:b", "register:b"]
    (skipped,) = [event for event in stage.events if isinstance(event, StepSkipped)]
    assert skipped.reason == "needs await ready of a"
    assert tally.exit_codes == [1]


async def test_what_comes_after_a_failed_step_still_runs(stage: Stage) -> None:
    stage.bodies["fence:a"] = raising(Unreachable("n1", "no route"))
    await stage.run(step(Action.FENCE), step(STOP, after=("fence:a",)))
    assert stage.said(StepFailed, StepDone) == ["fence:a", "stop:a"]


async def test_what_comes_after_waits_for_the_end(stage: Stage) -> None:
    gate = stage.bodies["fence:a"] = Gate()
    running = asyncio.create_task(stage.run(step(STOP, after=("fence:a",)), step(Action.FENCE)))
    await gate.begun.wait()
    await asyncio.sleep(0)
    assert stage.said(StepStarted) == ["fence:a"]
    gate.go.set()
    await running
    assert stage.said(StepDone) == ["fence:a", "stop:a"]


@pytest.mark.parametrize(
    ("error", "code", "unknown", "cause"),
    [
        (InstanceError("a", "exit status 1", hint="look"), 1, False, "exit status 1"),
        (Unreachable("n1", "no route", hint="look"), 4, False, "n1: no route"),
        (ConnectionLost("n1", "reset", hint="look"), 4, True, "n1: reset"),
    ],
)
async def test_failures_say_cause_hint_and_whether_the_effect_is_unknown(
    stage: Stage, error: Exception, code: int, unknown: bool, cause: str
) -> None:
    stage.bodies["start:a"] = raising(error)
    tally = await stage.run(step(START))
    (failed,) = [event for event in stage.events if isinstance(event, StepFailed)]
    assert (failed.cause, failed.hint, failed.exit_code, failed.unknown) == (cause, "look", code, unknown)
    assert tally.exit_codes == [code]


async def test_a_bug_in_a_handler_is_a_failure_of_its_step(stage: Stage) -> None:
    stage.bodies["start:a"] = raising(ZeroDivisionError("oops"))
    tally = await stage.run(*CHAIN, step(START, "b"))
    (failed,) = [event for event in stage.events if isinstance(event, StepFailed)]
    assert (failed.step, failed.exit_code) == ("start:a", 1)
    assert "internal error: ZeroDivisionError('oops')" in failed.cause
    assert tally.ends["start:b"] is End.DONE


async def test_last_lines_of_a_dead_engine_are_in_the_event(stage: Stage) -> None:
    error = InstanceError("a", "exit status 1")
    error.last_lines = ("OutOfMemoryError",)  # type: ignore[attr-defined]
    stage.bodies["await_ready:a"] = raising(error)
    await stage.run(step(READY))
    (failed,) = [event for event in stage.events if isinstance(event, StepFailed)]
    assert failed.last_lines == ("OutOfMemoryError",)


@pytest.mark.parametrize("action", sorted(set(Action) - WAITS_ONLY))
async def test_the_first_interrupt_lets_a_changing_step_end(stage: Stage, action: Action) -> None:
    first = step(action)
    gate = stage.bodies[first.id] = Gate()
    running = asyncio.create_task(stage.run(first, step(Action.PROVE, "b", needs=(first.id,))))
    await gate.begun.wait()
    stage.interrupt.ask()
    gate.go.set()
    tally = await running
    assert tally.ends == {first.id: End.DONE, "prove:b": End.SKIPPED}
    assert not gate.cancelled


@pytest.mark.parametrize("action", sorted(WAITS_ONLY))
async def test_the_first_interrupt_cuts_a_waiting_step_short(stage: Stage, action: Action) -> None:
    first = step(action)
    gate = stage.bodies[first.id] = Gate()
    running = asyncio.create_task(stage.run(first))
    await gate.begun.wait()
    stage.interrupt.ask()
    tally = await running
    assert tally.ends == {first.id: End.SKIPPED}
    assert gate.cancelled
    assert [event.reason for event in stage.events if isinstance(event, StepSkipped)] == ["interrupted"]


async def test_a_wait_that_ended_with_the_interrupt_is_not_skipped(stage: Stage) -> None:
    async def body(step: Step) -> Mapping[str, Any]:
        stage.interrupt.ask()
        return {"seen": 1}

    stage.bodies["await_ready:a"] = body
    assert (await stage.run(step(READY))).ends == {"await_ready:a": End.DONE}


async def test_the_second_interrupt_cancels_everything(stage: Stage) -> None:
    gate = stage.bodies["start:a"] = Gate()
    running = asyncio.create_task(stage.run(*CHAIN))
    await gate.begun.wait()
    stage.interrupt.ask()
    stage.interrupt.ask()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert gate.cancelled


def test_stopped_at_once_leaves_no_traceback_behind() -> None:
    """asyncio reports what nobody looked at when it is thrown away: below pdctl's own last words."""
    reported: list[str] = []

    async def stopped() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context["message"]))
        stage = Stage()
        gate = stage.bodies["start:a"] = Gate()
        running = asyncio.create_task(stage.run(*CHAIN))
        await gate.begun.wait()
        stage.interrupt.ask()
        stage.interrupt.ask()
        await running

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(stopped())
    gc.collect()
    assert reported == []


async def test_a_lost_lease_lets_changing_steps_end_however_often_it_is_said(stage: Stage) -> None:
    gate = stage.bodies["start:a"] = Gate()
    running = asyncio.create_task(stage.run(*CHAIN))
    await gate.begun.wait()
    for _ in range(3):
        stage.interrupt.stop("the lease was lost: no answer")
    gate.go.set()
    tally = await running
    assert tally.ends["start:a"] is End.DONE
    assert stage.said(StepSkipped) == ["await_ready:a", "register:a"]
    assert stage.interrupt.reason == "the lease was lost: no answer"


async def test_a_step_whose_start_could_not_be_journaled_does_not_begin(stage: Stage) -> None:
    async def emit(event: Event) -> None:
        if isinstance(event, StepStarted):
            stage.interrupt.stop("the lease was lost: no answer")
        stage.events.append(event)

    gate = stage.bodies["start:a"] = Gate()
    stage.emit = emit
    tally = await stage.run(step(START))
    assert tally.ends == {"start:a": End.SKIPPED}
    assert not gate.begun.is_set()


async def test_a_step_cancelled_from_outside_takes_its_handlers_along(stage: Stage) -> None:
    gates = {name: Gate() for name in ("start:a", "drain:b")}
    stage.bodies.update(gates)
    running = asyncio.create_task(stage.run(step(START), step(Action.DRAIN, "b")))
    await asyncio.gather(*(gate.begun.wait() for gate in gates.values()))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert all(gate.cancelled for gate in gates.values())


async def test_the_detail_of_a_step_is_in_its_event(stage: Stage) -> None:
    gate = stage.bodies["start:a"] = Gate()
    gate.go.set()
    await stage.run(step(START))
    assert isinstance(stage.events[0], StepStarted)
    assert isinstance(stage.events[1], StepDone)
    assert stage.events[1].detail == {"through": True}
