"""What a playbook does next, given what was done: a record of steps, and the one step that follows. Pure.

A step's record is written before it begins and after it ended. One that was begun and not ended is run again: every
verb is idempotent. Undoing goes backwards over everything that was begun, done or not, and is recorded the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from pdctl.errors import UsageError
from pdctl.plan.playbook_program import Program, Task


class StepState(StrEnum):
    """BEGUN: it runs, or its controller died with it. SKIPPED: the operator began behind it."""

    BEGUN = "begun"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


class Direction(StrEnum):
    """Which way a run goes."""

    FORWARD = "forward"
    BACK = "back"


@dataclass(frozen=True, slots=True)
class StepRecord:
    """What became of one step. `what` is the step to the letter; times are wall-clock seconds.

    `was`: for a `set`, the scalar as it was written before the first time.
    """

    state: StepState
    what: str
    began_s: float
    ended_s: float | None = None
    said: str = ""
    was: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: its steps by id, those of undoing too."""

    steps: Mapping[str, StepRecord] = field(default_factory=dict)
    direction: Direction = Direction.FORWARD

    def state(self, task: Task) -> StepState | None:
        """The task's state; None where it was never begun."""
        found = self.steps.get(task.id)
        return None if found is None else found.state


def following(program: Program, progress: Progress) -> Task | None:
    """The step to run now; None where all is done, or undone."""
    if progress.direction is Direction.FORWARD:
        past = (StepState.DONE, StepState.SKIPPED)
        return next((task for task in program.tasks if progress.state(task) not in past), None)
    return next((task for task in taking_back(program, progress) if progress.state(task) is not StepState.DONE), None)


def taking_back(program: Program, progress: Progress) -> tuple[Task, ...]:
    """The steps that undo what was begun: the last one first, each with its own steps in their order."""
    untouched = (None, StepState.SKIPPED)
    begun = [task for task in program.tasks if progress.state(task) not in untouched]
    return tuple(step for task in reversed(begun) for step in task.undo)


def left(program: Program, progress: Progress) -> tuple[Task, ...]:
    """All steps that may still run: forward with what would take them back, or what is to be taken back."""
    if progress.direction is Direction.BACK:
        return tuple(step for step in taking_back(program, progress) if progress.state(step) is not StepState.DONE)
    past = (StepState.DONE, StepState.SKIPPED)
    ahead = [task for task in program.tasks if progress.state(task) not in past]
    return tuple(step for task in ahead for step in (task, *task.undo))


def begun(progress: Progress, task: Task, at_s: float, was: str | None = None) -> Progress:
    """`task` begins, perhaps again: what was there before its first time stays known."""
    before = progress.steps.get(task.id)
    kept = before.was if before is not None and before.was is not None else was
    return _with(progress, task.id, StepRecord(StepState.BEGUN, task.what, at_s, was=kept))


def ended(progress: Progress, task: Task, state: StepState, at_s: float, said: str) -> Progress:
    """`task` ended that way."""
    return _with(progress, task.id, replace(progress.steps[task.id], state=state, ended_s=at_s, said=said))


def turned_back(progress: Progress) -> Progress:
    """From now on what was done is taken back."""
    return replace(progress, direction=Direction.BACK)


def starting_at(program: Program, progress: Progress, where: str, at_s: float) -> Progress:
    """Steps before `where` (a number, or a step's name) are skipped unless they are done. Raises UsageError."""
    index = next(
        (
            place
            for place, task in enumerate(program.tasks)
            if where in (task.id, task.title) or task.id.startswith(f"{where}.")
        ),
        None,
    )
    if index is None:
        known = ", ".join(f"{task.id} ({task.title})" for task in program.tasks[:12])
        raise UsageError(f"the playbook has no step {where!r}", hint=f"steps: {known}")
    for task in program.tasks[:index]:
        if progress.state(task) is not StepState.DONE:
            progress = _with(progress, task.id, StepRecord(StepState.SKIPPED, task.what, at_s, at_s))
    return progress


def carried(program: Program, progress: Progress) -> Progress:
    """What of `progress` is still true of a playbook that was changed: steps that are the same to the letter."""
    tasks = {each.id: each for task in program.tasks for each in (task, *task.undo)}
    same = {id_: step for id_, step in progress.steps.items() if id_ in tasks and tasks[id_].what == step.what}
    return replace(progress, steps=same)


def _with(progress: Progress, id_: str, step: StepRecord) -> Progress:
    return replace(progress, steps={**progress.steps, id_: step})
