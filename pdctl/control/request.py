"""What an operator may ask for besides `up` and `down`: the same from the command line, the TUI and playbooks.

A request names slots as selectors do (`node`, `node.slot`, `@pool`, globs). `propose` says what would happen,
`carry_out` does it; both are given the same request, so that what was shown is what is done.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class MoveRequest:
    """Change the pool of the selected slots. `at_once`: how many instances of a pool may be out of service together.

    `to` "none" makes them spares. `force` goes below a pool's floor, never below one instance of a role.
    `on_deadline`: what is done where a drain takes longer than `budgets.drain`: "cut" goes on and counts what is lost,
    "cancel" leaves the slot where it was. `canary`: "all" proves a pair with every opposite instance, "one" with the
    first that answers, "none" proves nothing. `skip_checks` starts without checking the nodes first.
    """

    selectors: tuple[str, ...]
    to: str
    at_once: int = 1
    force: bool = False
    on_deadline: str = "cut"
    canary: str = "all"
    skip_checks: bool = False


@dataclass(frozen=True, slots=True)
class DrainRequest:
    """Take the selected slots out of service, and leave a hold on them that every command honours.

    `stop`: stop their engines too, once drained. `reason` and `until_s` (wall clock) are written on the hold.
    `deadline_s`: the longest wait for what is in flight, in place of `budgets.drain`. `force` goes below a pool's
    floor, never below one instance of a role, and takes the place of other operators' holds.
    """

    selectors: tuple[str, ...]
    reason: str = ""
    until_s: float | None = None
    stop: bool = False
    force: bool = False
    deadline_s: float | None = None


@dataclass(frozen=True, slots=True)
class UndrainRequest:
    """Take the holds away, and bring what they held back into service."""

    selectors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RestartRequest:
    """Relaunch instances; `at_once` as in MoveRequest."""

    selectors: tuple[str, ...]
    at_once: int = 1
    force: bool = False


Request: TypeAlias = MoveRequest | DrainRequest | UndrainRequest | RestartRequest
