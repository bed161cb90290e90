"""The one event stream: every use case yields these; text, NDJSON, the TUI and the journal are views of it.

An event says what happened, in past tense where it is done. Every JSON line carries `schema`, `ts`, `run`, `cluster`
and `event` besides the event's own fields (`as_json`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from typing import Any, ClassVar

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events; `event` is the name on the wire."""

    event: ClassVar[str] = "event"


@dataclass(frozen=True, slots=True)
class RunStarted(Event):
    """A command began; `steps` is how many steps its plan has."""

    event: ClassVar[str] = "run_started"
    command: str
    inventory: str
    steps: int


@dataclass(frozen=True, slots=True)
class LeaseTaken(Event):
    """The cluster is ours to change until the run ends."""

    event: ClassVar[str] = "lease_taken"
    node: str
    epoch: int


@dataclass(frozen=True, slots=True)
class NodeUnreachable(Event):
    """A node could not be asked: what runs there is unknown."""

    event: ClassVar[str] = "node_unreachable"
    node: str
    cause: str
    hint: str


@dataclass(frozen=True, slots=True)
class Planned(Event):
    """One step that the run will take, and why."""

    event: ClassVar[str] = "planned"
    step: str
    action: str
    subject: str
    node: str
    reason: str


@dataclass(frozen=True, slots=True)
class StepStarted(Event):
    event: ClassVar[str] = "step_started"
    step: str
    action: str
    subject: str
    node: str
    reason: str


@dataclass(frozen=True, slots=True)
class StepProgress(Event):
    """What a long step waits for now."""

    event: ClassVar[str] = "step_progress"
    step: str
    action: str
    subject: str
    text: str
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class StepDone(Event):
    event: ClassVar[str] = "step_done"
    step: str
    action: str
    subject: str
    took_s: float
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StepFailed(Event):
    """A step failed; `unknown` says that its effect may or may not have happened."""

    event: ClassVar[str] = "step_failed"
    step: str
    action: str
    subject: str
    node: str
    cause: str
    hint: str
    exit_code: int
    unknown: bool = False
    last_lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StepSkipped(Event):
    """A step did not start because what it needs failed or the run was stopped."""

    event: ClassVar[str] = "step_skipped"
    step: str
    action: str
    subject: str
    reason: str


@dataclass(frozen=True, slots=True)
class CheckBegan(Event):
    """The nodes where something is about to start are checked first."""

    event: ClassVar[str] = "check_began"
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckFailed(Event):
    """A check keeps `slots` from serving: what was seen on which device, what was expected, and what to do."""

    event: ClassVar[str] = "check_failed"
    check: str
    node: str
    device: str
    slots: tuple[str, ...]
    observed: str
    expected: str
    fix: str


@dataclass(frozen=True, slots=True)
class CheckEnded(Event):
    """All nodes were checked: the slots that may not serve, and how many findings are no reason to stop."""

    event: ClassVar[str] = "check_ended"
    nodes: int
    unfit: tuple[str, ...]
    warnings: int
    took_s: float


@dataclass(frozen=True, slots=True)
class Warned(Event):
    """Something the operator should know that stops nothing."""

    event: ClassVar[str] = "warning"
    text: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class SlotHeld(Event):
    """A slot is held, and the run leaves it as it is. `kind`: drained, quarantined, pinned."""

    event: ClassVar[str] = "slot_held"
    slot: str
    kind: str
    by: str
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Moved(Event):
    """What became of the move of one slot (or group). Pools are "" for a spare.

    `outcome`: "moved"; "put back" (cancelled or failed in time, nothing changed); "not put back" (that failed);
    "untouched" (never begun); "unfinished" (the inventory says the new pool, the slot does not serve in it yet).
    `in_flight_at_fence`: requests that its instances had in hand when they left the router; None: not read. `cut`:
    those that were still there when the drain's deadline passed. `phases`: seconds by what was done, the longest where
    the slot holds several instances. Generations by instance name, before and after.
    """

    event: ClassVar[str] = "moved"
    slot: str
    from_pool: str
    to_pool: str
    outcome: str
    in_flight_at_fence: int | None
    drained_s: float | None
    cut: int
    phases: Mapping[str, float]
    took_s: float
    generations_before: Mapping[str, int] = field(default_factory=dict)
    generations_after: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunEnded(Event):
    """The end of a run: counts of steps, the exit code, and in words what is left."""

    event: ClassVar[str] = "run_ended"
    command: str
    exit_code: int
    done: int
    failed: int
    skipped: int
    took_s: float
    text: str


def as_json(event: Event, *, ts: float, run: str, cluster: str) -> dict[str, Any]:
    """One event as a JSON-able dict. `ts` is Unix time of the controller, `run` names the command's run."""
    body = {item.name: plain(getattr(event, item.name)) for item in fields(event)}
    return stamped(event.event, body, ts=ts, run=run, cluster=cluster)


def stamped(event: str, body: Mapping[str, Any], *, ts: float, run: str, cluster: str) -> dict[str, Any]:
    """`body` as one JSON line's object, behind what every line carries. `cluster` is "" while none is known."""
    return {"schema": SCHEMA, "ts": round(ts, 3), "run": run, "cluster": cluster, "event": event, **body}


def plain(value: Any) -> Any:
    """`value` as JSON can say it: enums by value, dataclasses as objects, floats rounded to microseconds."""
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return round(value, 6)
    return value
