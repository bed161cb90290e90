"""Steps and plans: what a run will do, in an order given by dependencies and never by sleeps."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pdctl.model.hold import Hold
from pdctl.model.observed import Trouble


class Action(StrEnum):
    """What one step does. The value is what operators read."""

    START_REGISTRAR = "start registrar"
    START_ROUTER = "start router"
    START = "start"
    AWAIT_READY = "await ready"
    PROVE = "canary"
    REGISTER = "register"
    PROVE_WHOLE = "completion through the router"
    FENCE = "fence"
    UNFENCE = "put back"
    HOLD = "hold"
    RELEASE = "release"
    DRAIN = "drain"
    COMMIT = "write the inventory"
    TAKE_BACK = "put the inventory back"
    STOP = "stop"
    QUIET_ROUTER = "wait until no client uses it"
    STOP_ROUTER = "stop router"
    STOP_REGISTRAR = "stop registrar"
    STOP_NUMA_BALANCING = "set kernel.numa_balancing to 0"


CLUSTER = "cluster"
ROUTER = "router"
REGISTRAR = "registrar"
ELSEWHERE = "@"
"""Between a service and the node that it should have left: `router@n1` is another one than `router`."""


@dataclass(frozen=True, slots=True)
class Step:
    """One effect on one subject (an instance, `router`, `registrar` or `cluster`).

    `needs` must have succeeded before it starts, else it is skipped; `after` must have ended, either way.
    """

    action: Action
    subject: str
    node: str
    reason: str
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return step_id(self.action, self.subject)


def step_id(action: Action, subject: str) -> str:
    """The name of a step within its plan."""
    return f"{action.name.lower()}:{subject}"


class ChangeKind(StrEnum):
    """What a plan does to one subject, in the operator's words."""

    START = "start"
    ADOPT = "adopt"
    REPLACE = "replace"
    RESTART = "restart"
    STOP = "stop"
    FIX = "fix"
    HOLD = "hold"
    RELEASE = "release"
    DRAIN = "drain"
    MOVE = "move"


@dataclass(frozen=True, slots=True)
class Change:
    """One line of a plan: what happens to whom, and why. `differences` name the changed inventory fields."""

    kind: ChangeKind
    subject: str
    node: str
    reason: str
    differences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Blocked:
    """A subject that this run can do nothing for (its node cannot be reached), and why."""

    subject: str
    node: str
    trouble: Trouble


@dataclass(frozen=True, slots=True)
class Held:
    """A slot that a plan leaves as it is because somebody holds it; `text` says what that means now."""

    slot: str
    hold: Hold
    text: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a run will do. Converged and reachable: no change, no step, nothing blocked.

    What is `held` is left out on purpose, and nothing is missing. `warnings`: what else the operator should know.
    """

    command: str
    changes: tuple[Change, ...]
    steps: tuple[Step, ...]
    blocked: tuple[Blocked, ...] = ()
    held: tuple[Held, ...] = ()
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        ids = {step.id for step in self.steps}
        if len(ids) != len(self.steps):
            raise ValueError("two steps of a plan have the same id")
        for step in self.steps:
            missing = [name for name in (*step.needs, *step.after) if name not in ids]
            if missing:
                raise ValueError(f"{step.id} waits for unknown steps {missing}")

    @property
    def converged(self) -> bool:
        return not self.changes and not self.blocked
