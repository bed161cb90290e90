"""Every error that pdctl raises on purpose. Each class has an exit code and carries a hint.

PdctlError                      1   something failed
├── UsageError                 64   the command line asks for something that cannot be
├── InventoryError             65   the inventory is invalid; carries every problem, located
├── PlanRefused                 1   the plan would break a rule (floor, hold, unsupported shape)
│   ├── StaleBase               1   the cluster was last applied from a newer inventory
│   └── StalePlan               1   a saved plan, and the inventory or the cluster has changed since
├── NodeError                   1   one node could not do what was asked; carries the node's name
│   ├── Unreachable             4   no connection: refused, timed out, no route
│   │   ├── HostKeyUnknown      4   the node's key was never pinned
│   │   ├── HostKeyChanged      4   the node's key is not the pinned one
│   │   └── AuthRefused         4   the node did not accept our login
│   ├── ConnectionLost          4   the connection went while a command ran: its outcome is unknown
│   ├── CommandFailed           1   a remote command answered with a failure
│   ├── DeadlineExceeded        1   a remote command or a wait took longer than its budget
│   └── EpochRefused           75   the node has seen a newer operator than us
├── InstanceError               1   one engine, router or registrar could not be brought to its state
├── BenchError                  1   a measurement could not be made, or what was measured cannot be read
│   └── TraceInvalid           65   a trace file is invalid; carries every problem, located
├── TooThin                     1   there are too few data for an answer; says what is missing
├── LeaseHeld                  75   another operator holds the cluster
├── PartlyDone                  3   some of what was asked was done
└── Interrupted               130   stopped by the operator

A message is one line: what is wrong and its cause. `hint` is one line: what to do about it. `problems`, where an input
has several mistakes, are rendered, located lines: all of them, never only the first.
"""

from __future__ import annotations

from typing import ClassVar


class PdctlError(Exception):
    """Base of every deliberate error; `str()` is the one-line cause, `hint` the one-line remedy."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, problems: tuple[str, ...] = (), hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.problems = problems
        self.hint = hint


class UsageError(PdctlError):
    """The command line asks for something that cannot be."""

    exit_code = 64


class InventoryError(PdctlError):
    """The inventory is invalid. `problems` are rendered, located lines."""

    exit_code = 65


class PlanRefused(PdctlError):
    """The plan would break a rule; nothing was touched."""


class StaleBase(PlanRefused):
    """The cluster was last applied from another inventory than the one this run is based on."""


class StalePlan(PlanRefused):
    """A plan that was saved is not what would be done now; nothing was touched."""


class NodeError(PdctlError):
    """One node could not do what was asked. `node` is its inventory name."""

    def __init__(self, node: str, message: str, *, hint: str = "") -> None:
        super().__init__(f"{node}: {message}", hint=hint)
        self.node = node
        self.cause = message


class Unreachable(NodeError):
    """No connection could be made."""

    exit_code = 4


class HostKeyUnknown(Unreachable):
    """The node's host key was never pinned."""


class HostKeyChanged(Unreachable):
    """The node's host key differs from the pinned one. Never retried, never repaired automatically."""


class AuthRefused(Unreachable):
    """The node did not accept our login. Never retried (lockouts)."""


class ConnectionLost(NodeError):
    """The connection went while a command ran: the outcome is unknown, never success."""

    exit_code = 4


class CommandFailed(NodeError):
    """A remote command answered with a failure. `status` is its exit status, `stderr` its last lines."""

    def __init__(self, node: str, message: str, *, status: int = 1, stderr: str = "", hint: str = "") -> None:
        super().__init__(node, message, hint=hint)
        self.status = status
        self.stderr = stderr


class DeadlineExceeded(NodeError):
    """A remote command or a wait took longer than its budget."""


class EpochRefused(NodeError):
    """The node has seen a newer lease epoch: another operator took over."""

    exit_code = 75


class InstanceError(PdctlError):
    """An engine, router or registrar could not be brought to its state. `unit` is its name."""

    def __init__(self, unit: str, message: str, *, hint: str = "") -> None:
        super().__init__(f"{unit}: {message}", hint=hint)
        self.unit = unit
        self.cause = message


class BenchError(PdctlError):
    """A measurement could not be made: a tool is not there or failed, a run's directory or file cannot be read."""


class TraceInvalid(BenchError):
    """A trace file is invalid. `problems` are located lines."""

    exit_code = 65


class TooThin(PdctlError):
    """There are too few data for an answer that would be worth its name."""


class LeaseHeld(PdctlError):
    """Another operator holds the cluster's lease."""

    exit_code = 75


class PartlyDone(PdctlError):
    """Some of what was asked was done; the rest is named in the message."""

    exit_code = 3


class Interrupted(PdctlError):
    """Stopped by the operator (Ctrl-C, SIGTERM, SIGHUP)."""

    exit_code = 130
