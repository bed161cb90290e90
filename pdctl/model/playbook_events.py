"""What a playbook says of itself, between the events of the use cases that it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pdctl.model.events import Event


@dataclass(frozen=True, slots=True)
class PlaybookEvent(Event):
    """Base of a playbook's own events."""


@dataclass(frozen=True, slots=True)
class PlaybookStarted(PlaybookEvent):
    """A playbook began, or goes on (`resumed`), or takes back what it did (`undoing`)."""

    event: ClassVar[str] = "playbook_started"
    playbook: str
    about: str
    file: str
    inventory: str
    steps: int
    resumed: bool = False
    undoing: bool = False


@dataclass(frozen=True, slots=True)
class PlaybookStepBegan(PlaybookEvent):
    """A step began; `number` of `of` counts steps of this direction. What it does follows as events of its own."""

    event: ClassVar[str] = "playbook_step_began"
    step: str
    verb: str
    title: str
    number: int
    of: int
    undoing: bool = False


@dataclass(frozen=True, slots=True)
class GateSaw:
    """One condition of a gate. `met` None: unknown."""

    wanted: str
    met: bool | None
    saw: str


@dataclass(frozen=True, slots=True)
class PlaybookWaiting(PlaybookEvent):
    """A gate has not passed yet: what it saw, for how long all has held, and how long it may still wait."""

    event: ClassVar[str] = "playbook_waiting"
    step: str
    conditions: tuple[GateSaw, ...]
    held_s: float
    settle_s: float
    left_s: float


@dataclass(frozen=True, slots=True)
class PlaybookStepEnded(PlaybookEvent):
    """A step ended: `state` is done, failed, or begun where it was stopped and has to be run again."""

    event: ClassVar[str] = "playbook_step_ended"
    step: str
    verb: str
    title: str
    state: str
    exit_code: int
    said: str
    hint: str
    took_s: float


@dataclass(frozen=True, slots=True)
class PlaybookStepForeseen(PlaybookEvent):
    """A dry run: what the step would do as things are now. `later`: what earlier steps change is not in it."""

    event: ClassVar[str] = "playbook_step_foreseen"
    step: str
    verb: str
    title: str
    lines: tuple[str, ...]
    undo: tuple[str, ...]
    later: bool


@dataclass(frozen=True, slots=True)
class PlaybookEnded(PlaybookEvent):
    """The end: done, undone, failed, or stopped; and the command that goes on."""

    event: ClassVar[str] = "playbook_ended"
    playbook: str
    outcome: str
    exit_code: int
    done: int
    steps: int
    took_s: float
    text: str
    hint: str
