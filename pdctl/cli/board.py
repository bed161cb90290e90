"""The state behind the live view: one row per subject of a run. Pure: event in, next board out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from pdctl.model.events import (
    Event,
    NodeUnreachable,
    Planned,
    RunStarted,
    StepDone,
    StepFailed,
    StepProgress,
    StepSkipped,
    StepStarted,
)


class RowState(StrEnum):
    """What a row shows. A failure or an unknown outcome stays, whatever follows it in the same run."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"
    UNKNOWN = "unknown"

    @property
    def is_trouble(self) -> bool:
        return self in (RowState.FAILED, RowState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Row:
    """One instance, router, registrar or node. `text` is its current or last step; times are monotonic seconds.

    `began_s` is when the current step began, `first_s` when the subject's first one did; `ended_s` is None while one
    runs. `todo` names steps that are planned and have not ended.
    """

    subject: str
    state: RowState = RowState.WAITING
    text: str = ""
    first_s: float | None = None
    began_s: float | None = None
    ended_s: float | None = None
    todo: frozenset[str] = frozenset()

    def elapsed_s(self, now_s: float) -> float | None:
        """Of the current step while it runs, else from the first step's begin to the last one's end."""
        if self.state is RowState.RUNNING and self.began_s is not None:
            return now_s - self.began_s
        if self.first_s is None or self.ended_s is None:
            return None
        return self.ended_s - self.first_s


@dataclass(frozen=True, slots=True)
class Board:
    """All rows in the order in which their subjects first appeared, and the counts of steps."""

    rows: Mapping[str, Row] = field(default_factory=dict)
    command: str = ""
    steps: int = 0
    done: int = 0
    failed: int = 0
    skipped: int = 0
    began_s: float | None = None

    def row(self, subject: str) -> Row:
        return self.rows.get(subject) or Row(subject)

    def count(self, state: RowState) -> int:
        return sum(row.state is state for row in self.rows.values())


def advance(board: Board, event: Event, now_s: float) -> Board:
    """The board after `event`, which came at `now_s` (monotonic seconds)."""
    if board.began_s is None:
        board = replace(board, began_s=now_s)
    match event:
        case RunStarted():
            return replace(board, command=event.command, steps=event.steps)
        case NodeUnreachable():
            row = replace(board.row(event.node), state=RowState.UNKNOWN, text=f"unreachable: {event.cause}")
            return _with(board, row)
        case Planned():
            row = board.row(event.subject)
            return _with(board, replace(row, todo=row.todo | {event.step}, text=row.text or event.action))
        case StepStarted():
            return _with(board, _begun(board.row(event.subject), event, now_s))
        case StepProgress():
            row = board.row(event.subject)
            return _with(board, row if row.state.is_trouble else replace(row, text=f"{event.action}: {event.text}"))
        case StepDone():
            row = _ended(board.row(event.subject), event.step, RowState.DONE, event.action, now_s)
            return replace(_with(board, row), done=board.done + 1)
        case StepFailed():
            state = RowState.UNKNOWN if event.unknown else RowState.FAILED
            row = _ended(board.row(event.subject), event.step, state, f"{event.action}: {event.cause}", now_s)
            return replace(_with(board, row), failed=board.failed + 1)
        case StepSkipped():
            text = f"{event.action}: {event.reason}"
            row = _ended(board.row(event.subject), event.step, RowState.SKIPPED, text, now_s)
            return replace(_with(board, row), skipped=board.skipped + 1)
        case _:
            return board


def _begun(row: Row, event: StepStarted, now_s: float) -> Row:
    first_s = now_s if row.first_s is None else row.first_s
    row = replace(row, began_s=now_s, first_s=first_s, ended_s=None)
    return row if row.state.is_trouble else replace(row, state=RowState.RUNNING, text=event.action)


def _ended(row: Row, step: str, state: RowState, text: str, now_s: float) -> Row:
    """A step's end. Trouble stays on show; a row is done when nothing that was planned for it is left."""
    row = replace(row, todo=row.todo - {step}, ended_s=now_s)
    if row.state.is_trouble:
        return row
    if state is RowState.DONE and row.todo:
        state = RowState.WAITING
    return replace(row, state=state, text=text)


def _with(board: Board, row: Row) -> Board:
    return replace(board, rows={**board.rows, row.subject: row})
