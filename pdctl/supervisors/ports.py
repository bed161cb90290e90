"""What the floors above ask of a supervisor: the thing on a node that starts, stops and shows units.

One `Supervisor` serves one node. Every mutating call passes the lease epoch; a node that has seen a higher one refuses
(EpochRefused). All calls raise NodeError's kinds when the node cannot be asked.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from pdctl.model.observed import NodeView
from pdctl.model.unit import StopReport, UnitSpec, UnitStatus

__all__ = ["LogLine", "NodeView", "Supervisor"]


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a unit's log, decoded and stripped of terminal control sequences."""

    unit: str
    text: str
    at: float | None = None


class Supervisor(Protocol):
    """Start, stop and inspect units on one node."""

    async def inspect(self, *, claim: int | None = None) -> NodeView:
        """Every unit of our cluster on the node, ended ones with their exit evidence included. One exec.

        `claim` makes that lease epoch known on the node before it looks, and waits for a change under way there: what
        is seen is changed by no former holder of the lease any more. Raises EpochRefused where a newer one was seen.
        """
        ...

    async def take_generations(self, count: int, *, epoch: int) -> int:
        """Reserve `count` generations, written to the node's disk before the answer; the first of them.

        Units of one node share the counter, so a generation is never used twice there, across `down` and reboot.
        """
        ...

    async def start(self, spec: UnitSpec, *, epoch: int) -> UnitStatus:
        """Start one unit. The same labels already running: no change. Refused (InstanceError, with cause and hint)
        while a unit of ours lives on one of its GPUs, a path is missing, or a port is taken (its owner is named)."""
        ...

    async def stop(self, unit: str, *, epoch: int, now: bool = False) -> StopReport:
        """SIGTERM, the unit's budget, SIGKILL to all that is left; returns when nothing of it lives. `now` skips the
        budget. A unit that is not there is a success (`existed` False)."""
        ...

    async def forget(self, units: Sequence[str], *, epoch: int) -> None:
        """Remove what ended units left on the node, but for their logs."""
        ...

    def logs(self, unit: str, *, lines: int, follow: bool) -> AbstractAsyncContextManager[AsyncIterator[LogLine]]:
        """The last `lines` of a unit's log, then, with `follow`, what is added (rotation is followed)."""
        ...
