"""The ONE loop with effects: runs a plan's steps as their dependencies allow, and turns every end into an event.

Everything else decides. A step is started when all it needs succeeded and all it comes after ended; independent steps
run at the same time. The first interrupt starts nothing new, lets steps that change something reach their end and
cuts short those that only wait; the second cancels everything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from pdctl.control.clock import Clock
from pdctl.errors import ConnectionLost, Interrupted, PdctlError
from pdctl.model.events import Event, StepDone, StepFailed, StepSkipped, StepStarted
from pdctl.plan.steps import Action, Plan, Step

Handler = Callable[[Step], Awaitable[Mapping[str, Any]]]
Emit = Callable[[Event], Awaitable[None]]

WAITS_ONLY = frozenset({Action.AWAIT_READY, Action.PROVE, Action.PROVE_WHOLE, Action.DRAIN, Action.QUIET_ROUTER})
"""Steps that change nothing, so that an interrupt may cut them short."""


class End(Enum):
    """How a step ended."""

    DONE = auto()
    FAILED = auto()
    SKIPPED = auto()


@dataclass(slots=True)
class Tally:
    """The ends of all steps of a run, with the failures' exit codes."""

    ends: dict[str, End] = field(default_factory=dict)
    exit_codes: list[int] = field(default_factory=list)

    def count(self, end: End) -> int:
        return sum(1 for seen in self.ends.values() if seen is end)


class Interrupt:
    """What stops a run: the operator's signals (`ask`), or a reason of its own such as a lost lease (`stop`)."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.insisted = asyncio.Event()
        self.reason = ""
        self.exit_code = Interrupted.exit_code

    def ask(self, reason: str = "interrupted") -> None:
        """The operator's signal: the first call asks to stop soon, the second insists on now."""
        if self.asked.is_set():
            self.insisted.set()
        self.stop(reason)

    def stop(self, reason: str, exit_code: int = Interrupted.exit_code) -> None:
        """Ask to stop soon. Saying so again never insists, and the first reason stays."""
        if not self.asked.is_set():
            self.reason, self.exit_code = reason, exit_code
        self.asked.set()


class _Run:
    def __init__(
        self, plan: Plan, handlers: Mapping[Action, Handler], emit: Emit, clock: Clock, interrupt: Interrupt
    ) -> None:
        self.plan, self.handlers, self.emit, self.clock, self.interrupt = plan, handlers, emit, clock, interrupt
        self.ended = {step.id: asyncio.Event() for step in plan.steps}
        self.tally = Tally()

    async def step(self, step: Step) -> None:
        """Wait for what the step depends on, run it, say how it ended; never raises but for cancellation."""
        end = End.FAILED
        try:
            broken = await self._wait(step)
            if broken:
                end = End.SKIPPED
                await self._skip(step, f"needs {self._words(broken)}")
            elif self.interrupt.asked.is_set():
                end = End.SKIPPED
                await self._skip(step, self.interrupt.reason)
            else:
                end = await self._attempt(step)
        finally:
            self.tally.ends[step.id] = end
            self.ended[step.id].set()

    async def _wait(self, step: Step) -> str:
        """Until all that the step depends on has ended, or one that it needs has not succeeded: which; else ""."""
        for name in step.needs:
            await self.ended[name].wait()
            if self.tally.ends[name] is not End.DONE:
                return name
        for name in step.after:
            await self.ended[name].wait()
        return ""

    def _words(self, name: str) -> str:
        found = next(step for step in self.plan.steps if step.id == name)
        return f"{found.action.value} of {found.subject}"

    async def _skip(self, step: Step, reason: str) -> None:
        await self.emit(StepSkipped(step.id, step.action.value, step.subject, reason))

    async def _attempt(self, step: Step) -> End:
        began = self.clock.monotonic()
        await self.emit(StepStarted(step.id, step.action.value, step.subject, step.node, step.reason))
        if self.interrupt.asked.is_set():  # by the journal, for one: what is not in it must not happen
            await self._skip(step, self.interrupt.reason)
            return End.SKIPPED
        try:
            detail = await self._guarded(step)
        except PdctlError as error:
            await self._fail(step, error.exit_code, _cause(error, step), error.hint, error)
            return End.FAILED
        except Exception as error:  # a bug of ours must name its step and end the run in order, like any other failure
            await self._fail(step, 1, f"internal error: {error!r}", "please report this with `-v` output", error)
            return End.FAILED
        if detail is None:
            await self._skip(step, self.interrupt.reason)
            return End.SKIPPED
        took_s = self.clock.monotonic() - began
        await self.emit(StepDone(step.id, step.action.value, step.subject, took_s, detail))
        return End.DONE

    async def _guarded(self, step: Step) -> Mapping[str, Any] | None:
        """The handler's detail; None if an interrupt cut a waiting step short."""
        work = asyncio.ensure_future(self.handlers[step.action](step))
        if step.action not in WAITS_ONLY:
            return await work
        cut = asyncio.create_task(self.interrupt.asked.wait())
        try:
            waits: set[asyncio.Future[Any]] = {work, cut}
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return work.result() if work.done() else None
        finally:
            cut.cancel()
            if not work.done():
                work.cancel()
                await asyncio.wait({work})

    async def _fail(self, step: Step, exit_code: int, cause: str, hint: str, error: Exception) -> None:
        self.tally.exit_codes.append(exit_code)
        last_lines: tuple[str, ...] = getattr(error, "last_lines", ())
        unknown = isinstance(error, ConnectionLost)
        await self.emit(
            StepFailed(step.id, step.action.value, step.subject, step.node, cause, hint, exit_code, unknown, last_lines)
        )


def _cause(error: PdctlError, step: Step) -> str:
    prefix = f"{step.subject}: "
    return error.message.removeprefix(prefix)


async def execute(
    plan: Plan, handlers: Mapping[Action, Handler], emit: Emit, clock: Clock, interrupt: Interrupt
) -> Tally:
    """Run every step of `plan`; returns when all have ended. Raises CancelledError if the operator insisted."""
    run = _Run(plan, handlers, emit, clock, interrupt)
    tasks = [asyncio.create_task(run.step(step), name=step.id) for step in plan.steps]
    everything = asyncio.gather(*tasks)
    insisted = asyncio.create_task(interrupt.insisted.wait())
    try:
        waits: set[asyncio.Future[Any]] = {everything, insisted}
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if not everything.done():
            raise asyncio.CancelledError
        everything.result()
    finally:
        insisted.cancel()
        for task in tasks:
            task.cancel()
        await asyncio.gather(everything, *tasks, return_exceptions=True)  # else asyncio reports it as never looked at
    return run.tally
