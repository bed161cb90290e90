"""The state behind the progress of a run: one row per step. Pure: event in, next view out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from pdctl.control.proposal import Proposal
from pdctl.model.events import (
    CheckBegan,
    CheckEnded,
    Event,
    LeaseTaken,
    Planned,
    RunEnded,
    RunStarted,
    StepDone,
    StepFailed,
    StepProgress,
    StepSkipped,
    StepStarted,
    Warned,
)
from pdctl.plan.steps import Plan
from pdctl.text.phrases import phrase
from pdctl.tui.step_words import step_words


class StepState(StrEnum):
    """Where one step stands. UNKNOWN: it failed, and its effect may or may not have happened."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"
    UNKNOWN = "unknown"

    @property
    def ended(self) -> bool:
        return self not in (StepState.WAITING, StepState.RUNNING)

    @property
    def is_trouble(self) -> bool:
        return self in (StepState.FAILED, StepState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class StepRow:
    """One step. `text` is why it is taken, what it waits for, or how it ended; `began_s` is monotonic."""

    id: str
    action: str
    subject: str
    node: str
    text: str = ""
    state: StepState = StepState.WAITING
    began_s: float | None = None
    took_s: float | None = None
    hint: str = ""
    last_lines: tuple[str, ...] = ()

    def elapsed_s(self, now_s: float) -> float | None:
        """While it runs so far, else what it took; None where it never began."""
        if self.state is StepState.RUNNING and self.began_s is not None:
            return now_s - self.began_s
        return self.took_s


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as its operator sees it. `stopping`: whether it was asked to stop. `exit_code` None: it has not ended.

    `doing` says what happens where no step runs: the lease is taken, nodes are looked at or checked. `notes` are
    warnings and failures that belong to no step, in words.
    """

    command: str
    rows: tuple[StepRow, ...] = ()
    no_return: frozenset[str] = frozenset()
    doing: str = "asking for the lease"
    notes: tuple[str, ...] = ()
    stopping: bool = False
    began_s: float | None = None
    took_s: float | None = None
    exit_code: int | None = None
    ending: str = ""
    _places: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)
    _shown: frozenset[str] = field(default=frozenset(), compare=False, repr=False)  # steps that were agreed to
    _said: frozenset[str] | None = field(default=None, compare=False, repr=False)  # steps planned since the run began

    @property
    def ended(self) -> bool:
        return self.exit_code is not None

    @property
    def done(self) -> int:
        return self.count(StepState.DONE)

    def count(self, state: StepState) -> int:
        return sum(row.state is state for row in self.rows)

    def row(self, step: str) -> StepRow | None:
        place = self._places.get(step)
        return None if place is None else self.rows[place]

    @property
    def returns(self) -> int:
        """Points of no return that lie ahead: steps of `no_return` that have not begun."""
        return sum(row.id in self.no_return and row.state is StepState.WAITING for row in self.rows)

    @property
    def passed(self) -> int:
        """Points of no return that were passed, or are being passed now. A failed one may have been."""
        behind = (StepState.RUNNING, StepState.DONE, StepState.FAILED, StepState.UNKNOWN)
        return sum(row.id in self.no_return and row.state in behind for row in self.rows)

    @property
    def short(self) -> str:
        """For a header: `move 3/8`."""
        return f"{self.command} {self.done}/{len(self.rows)}" + (" stopping" if self.stopping else "")


def begun(proposal: Proposal, now_s: float) -> RunView:
    """The view of a run that was just agreed to; its rows are what was shown, until the run says what it does."""
    shown = frozenset(step.id for step in proposal.plan.steps)
    view = RunView(proposal.plan.command, no_return=proposal.no_return, began_s=now_s, _shown=shown)
    return _with_rows(view, planned_rows(proposal.plan))


def planned_rows(plan: Plan) -> tuple[StepRow, ...]:
    """The steps of a plan, all of them waiting."""
    return tuple(StepRow(step.id, step.action.value, step.subject, step.node, step.reason) for step in plan.steps)


def reduce(view: RunView, event: Event, now_s: float) -> RunView:
    """The view after `event`, which came at `now_s` (monotonic seconds)."""
    match event:
        case LeaseTaken():
            return replace(view, doing="looking at the nodes")
        case CheckBegan():
            return replace(view, doing=f"checking {', '.join(event.nodes)}")
        case CheckEnded():
            return replace(_noted(view, event), doing="planning") if event.unfit else replace(view, doing="planning")
        case RunStarted():  # what will be done is said anew: the cluster may have changed since the plan was shown
            return replace(view, _said=frozenset(), doing="", command=event.command)
        case RunEnded():
            view = _settled(view)
            rows = tuple(row if row.state.ended else replace(row, state=StepState.SKIPPED) for row in view.rows)
            ended = replace(view, exit_code=event.exit_code, ending=event.text, took_s=event.took_s, doing="")
            return replace(ended, rows=rows)
        case Planned():
            return _planned(view, event)
        case StepStarted() | StepProgress() | StepDone() | StepFailed() | StepSkipped():
            return _stepped(view, event, now_s)
        case _:  # warnings, failed checks, nodes out of reach, held slots
            return _noted(view, event)


def crashed(view: RunView, cause: str, hint: str, exit_code: int, now_s: float) -> RunView:
    """The view of a run that was refused, or ended without a word of its own."""
    took_s = None if view.began_s is None else now_s - view.began_s
    rows = tuple(_broken(row) for row in view.rows)
    ending = cause if not hint else f"{cause} (hint: {hint})"
    return replace(view, rows=rows, doing="", exit_code=exit_code, ending=ending, took_s=took_s)


def _broken(row: StepRow) -> StepRow:
    if row.state is StepState.RUNNING:
        return replace(row, state=StepState.UNKNOWN, text="nobody saw how it ended")
    return row if row.state.ended else replace(row, state=StepState.SKIPPED)


def _noted(view: RunView, event: Event) -> RunView:
    return replace(view, notes=(*view.notes, *(line.rstrip() for line in phrase(event))))


def _planned(view: RunView, event: Planned) -> RunView:
    """A step that will be taken. The order of the plan that was shown stays: this one comes in any."""
    view = replace(view, _said=(view._said or frozenset()) | {event.step})
    if event.step in view._places:
        return view
    return _with_rows(view, (*view.rows, StepRow(event.step, event.action, event.subject, event.node, event.reason)))


def _settled(view: RunView) -> RunView:
    """All is planned: what was shown and is not said again will not be done."""
    if view._said is None:
        return view
    said, shown = view._said, view._shown
    new, gone = len(said - shown), len(shown - said)
    if new or gone:
        text = f"the cluster has changed since the plan was shown: {new} new steps, {gone} fall away"
        view = _noted(view, Warned(text))
    return _with_rows(replace(view, _said=None), (row for row in view.rows if row.id in said))


def _stepped(
    view: RunView, event: StepStarted | StepProgress | StepDone | StepFailed | StepSkipped, now_s: float
) -> RunView:
    view = _settled(view)
    place = view._places.get(event.step)
    if place is None:
        node = event.node if isinstance(event, StepStarted | StepFailed) else ""
        view = _with_rows(view, (*view.rows, StepRow(event.step, event.action, event.subject, node)))
        place = len(view.rows) - 1
    row = _row(view.rows[place], event, now_s)
    return replace(view, rows=(*view.rows[:place], row, *view.rows[place + 1 :]))


def _row(
    row: StepRow, event: StepStarted | StepProgress | StepDone | StepFailed | StepSkipped, now_s: float
) -> StepRow:
    match event:
        case StepStarted():
            return replace(row, state=StepState.RUNNING, began_s=now_s, text=event.reason or row.text)
        case StepProgress():
            return row if row.state.ended else replace(row, state=StepState.RUNNING, text=event.text)
        case StepDone():
            return replace(row, state=StepState.DONE, took_s=event.took_s, text=step_words(event.detail))
        case StepSkipped():
            return replace(row, state=StepState.SKIPPED, text=event.reason)
        case StepFailed():
            state = StepState.UNKNOWN if event.unknown else StepState.FAILED
            took_s = None if row.began_s is None else now_s - row.began_s
            said = f"{event.cause}; it may or may not have happened" if event.unknown else event.cause
            return replace(row, state=state, text=said, hint=event.hint, last_lines=event.last_lines, took_s=took_s)


def _with_rows(view: RunView, rows: Iterable[StepRow]) -> RunView:
    listed = tuple(rows)
    return replace(view, rows=listed, _places={row.id: place for place, row in enumerate(listed)})
