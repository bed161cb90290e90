"""`run`: play a program step by step, forward or back, with its record written before and after every one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from pdctl.control.clock import Clock
from pdctl.control.execute import Interrupt
from pdctl.control.journal import Session
from pdctl.control.playbook_ports import Ask, Ended, Verbs
from pdctl.control.playbook_record import RunRecord
from pdctl.errors import Interrupted, PdctlError
from pdctl.model.playbook_events import PlaybookEnded, PlaybookStepBegan, PlaybookStepEnded
from pdctl.plan.playbook import (
    Direction,
    StepState,
    begun,
    ended,
    following,
    taking_back,
    turned_back,
)
from pdctl.plan.playbook_program import PUT_BACK, Program, Task

LOOKS_ONLY: Final = frozenset({"check", "canary", "smoke", "gate", "confirm"})
"""Steps that change nothing, so that an interrupt or their timeout may cut them short."""
_INTERRUPTED: Final = Interrupted.exit_code


@dataclass(slots=True)
class Playing:
    """One run of a program. `keep` writes the record, and raises PdctlError where it cannot: then nothing begins."""

    program: Program
    record: RunRecord
    verbs: Verbs
    keep: Callable[[RunRecord], None]
    session: Session
    clock: Clock
    ask: Ask

    async def go(self) -> int:
        """Play what is left. Returns the exit code; raises CancelledError if the operator insisted."""
        began_s = self.clock.monotonic()
        code, failure = 0, 0
        while (task := following(self.program, self.record.progress)) is not None:
            if self.session.interrupt.asked.is_set():
                code = _INTERRUPTED
                break
            end = await self._step(task)
            if end.code == 0:
                continue
            failure = failure or end.code
            answer = await self._after(task, end)
            if answer == "undo":
                self._turn_back()
            elif answer != "retry":
                code = end.code
                break
        if code == 0 and self._back and failure:
            code = failure  # what was asked for was not reached, although all is as it was before
        self._end(code, self.clock.monotonic() - began_s)
        return code

    @property
    def _back(self) -> bool:
        return self.record.progress.direction is Direction.BACK

    def _turn_back(self) -> None:
        self._keep(replace(self.record, progress=turned_back(self.record.progress)))

    async def _step(self, task: Task) -> Ended:
        """Begin, do, end: the record is on disk before the first and after the last."""
        began_s = self.clock.monotonic()
        again = self.record.progress.state(task) is not None
        try:
            was = self.verbs.written(task) if task.verb == "set" else None
            self._keep(replace(self.record, progress=begun(self.record.progress, task, self.clock.time(), was)))
        except PdctlError as error:
            return Ended(error.exit_code, error.message, error.hint, pause=True)
        self.session.sink(PlaybookStepBegan(task.id, task.verb, task.title, *self._place(task), self._back))
        end = await self._attempt(task, again=again)
        stopped = end.code == _INTERRUPTED
        state = StepState.BEGUN if stopped or end.pause else StepState.FAILED if end.code else StepState.DONE
        if state is not StepState.BEGUN:
            now_s = self.clock.time()
            self._keep(replace(self.record, progress=ended(self.record.progress, task, state, now_s, end.said)))
        took_s = self.clock.monotonic() - began_s
        self.session.sink(
            PlaybookStepEnded(task.id, task.verb, task.title, state.value, end.code, end.said, end.hint, took_s)
        )
        return end

    def _place(self, task: Task) -> tuple[int, int]:
        steps = taking_back(self.program, self.record.progress) if self._back else self.program.tasks
        return next(place for place, each in enumerate(steps, 1) if each.id == task.id), len(steps)

    async def _attempt(self, task: Task, *, again: bool) -> Ended:
        """The step's end; its errors are ends too. An interrupt reaches it at its next safe point."""
        child = Interrupt()
        passing = asyncio.create_task(_pass_on(self.session.interrupt, child))
        session = Session(self.session.sink, child, self.session.run)
        work = asyncio.ensure_future(self.verbs.do(task, session, self._was(task), again=again))
        try:
            return await self._bounded(task, work, child)
        except PdctlError as error:
            return Ended(error.exit_code, error.message, error.hint)
        except Exception as error:  # a bug of ours must name its step and leave a record that can be resumed
            return Ended(1, f"internal error: {error!r}", "please report this with `-v` output")
        finally:
            passing.cancel()
            if not work.done():
                work.cancel()
            await asyncio.gather(passing, work, return_exceptions=True)

    async def _bounded(self, task: Task, work: asyncio.Future[Ended], child: Interrupt) -> Ended:
        """The end of `work`. Where it only looks it is cut short; else it is asked to stop, and waited for."""
        cut = asyncio.create_task(child.asked.wait())
        try:
            waits: set[asyncio.Future[Any]] = {work, cut}
            await asyncio.wait(waits, timeout=task.timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return self._own(work.result())
            late = not child.asked.is_set()
            if late:
                child.stop("the step's timeout has passed")
            if task.verb not in LOOKS_ONLY:
                end = await work
                if end.code != _INTERRUPTED or not late:
                    return self._own(end)
            said = f"its timeout of {task.timeout_s:g} s has passed" if late else self.session.interrupt.reason
            return Ended(1 if late else _INTERRUPTED, said)
        finally:
            cut.cancel()

    def _own(self, end: Ended) -> Ended:
        return replace(end, said=self.session.interrupt.reason) if end.code == _INTERRUPTED and not end.said else end

    def _was(self, task: Task) -> str | None:
        """What stood there before the `set` that this task takes back."""
        if task.verb != PUT_BACK:
            return None
        step = self.record.progress.steps.get(task.id.partition(".undo.")[0])
        return None if step is None else step.was

    async def _after(self, task: Task, end: Ended) -> str:
        """What to do about a step that did not succeed: stop, undo or retry."""
        if self._back or end.pause or end.code == _INTERRUPTED or self.session.interrupt.asked.is_set():
            return "stop"
        if task.on_failure != "ask":
            return task.on_failure
        return await self.ask(f"{task.title} failed: {end.said or end.code}", ("stop", "retry", "undo")) or "stop"

    def _keep(self, record: RunRecord) -> None:
        self.record = replace(record, updated_s=self.clock.time())
        self.keep(self.record)

    def _end(self, code: int, took_s: float) -> None:
        left = following(self.program, self.record.progress)
        outcome = ("undone" if self._back else "done") if left is None else "stopped" if code == 130 else "failed"
        if left is not None and code == 3 and self._waits(left):
            outcome = "stopped"
        with contextlib.suppress(PdctlError):  # all that matters of it was written with the last step
            self._keep(replace(self.record, outcome=outcome))
        steps = taking_back(self.program, self.record.progress) if self._back else self.program.tasks
        done = sum(self.record.progress.state(task) in (StepState.DONE, StepState.SKIPPED) for task in steps)
        text = f"at step {left.id} ({left.title})" if left is not None else ""
        hint = _hint(self.record.run, back=self._back) if left is not None else ""
        self.session.sink(PlaybookEnded(self.program.name, outcome, code, done, len(steps), took_s, text, hint))

    def _waits(self, task: Task) -> bool:
        return self.record.progress.state(task) is StepState.BEGUN


def _hint(run: str, *, back: bool) -> str:
    if back:
        return f"`pdctl run --undo {run}` goes on taking back"
    return f"`pdctl run --resume {run}` goes on, `pdctl run --undo {run}` takes back what was done"


async def _pass_on(parent: Interrupt, child: Interrupt) -> None:
    """The operator's signals reach the step in hand."""
    await parent.asked.wait()
    child.stop(parent.reason)
    await parent.insisted.wait()
    child.ask(parent.reason)
