"""The demo's moves: nodes to and fro between two pools, each by the ordinary `move`, as a command of its own would."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from pdctl.control.carry_out import carry_out
from pdctl.control.journal import Session
from pdctl.control.opened import open_cluster
from pdctl.control.request import MoveRequest
from pdctl.errors import PdctlError, UsageError
from pdctl.model.deployment import Deployment
from pdctl.model.events import Event, Moved
from pdctl.model.role import Role


@dataclass(slots=True)
class MovesOutcome:
    """What became of the moves; filled as they go. `trouble`: why they ended early, "" if they did not."""

    asked: int
    events: list[Moved] = field(default_factory=list)
    trouble: str = ""

    @property
    def done(self) -> int:
        return sum(1 for event in self.events if event.outcome == "moved")

    @property
    def cut(self) -> int:
        return sum(event.cut for event in self.events)

    @property
    def whole(self) -> bool:
        return self.done == self.asked and not self.trouble

    def summary(self) -> dict[str, Any]:
        """Counts and times of all moves. Times in seconds: the median and the longest."""
        counts = [event.in_flight_at_fence or 0 for event in self.events]
        return {
            "moves": self.done,
            "moves_asked": self.asked,
            "moves_cut": self.cut,
            "moves_trouble": self.trouble,
            "in_flight_at_fence": sum(counts),
            "moves_with_requests_in_flight": sum(1 for count in counts if count),
            "move_s": _spread([event.took_s for event in self.events]),
            "move_phases_s": self.phases(),
        }

    def phases(self) -> Mapping[str, Mapping[str, float]]:
        names = dict.fromkeys(name for event in self.events for name in event.phases)
        return {name: _spread([event.phases[name] for event in self.events if name in event.phases]) for name in names}


async def shuttle(inventory: Path, outcome: MovesOutcome, session: Session) -> None:
    """Move nodes to and fro until the outcome is whole, a move does not succeed, or the operator asks to stop.

    Which node goes is whoever has been in the pool for longest, so that all of them take their turn.
    """

    def sink(event: Event) -> None:
        if isinstance(event, Moved):
            outcome.events.append(event)
        session.sink(event)

    turns: _Turns | None = None
    for _ in range(outcome.asked):
        if session.interrupt.asked.is_set():
            return
        try:
            async with open_cluster(inventory) as opened:
                turns = turns or _Turns.of(opened.deployment)
                slot, pool = turns.next()
                code = await carry_out(
                    opened, MoveRequest((slot,), pool), Session(sink, session.interrupt, session.run)
                )
        except PdctlError as error:
            outcome.trouble = error.message
            return
        if code != 0:
            outcome.trouble = f"the move of {slot} to {pool} ended with {code}"
            return


def refuse_moves(prefill: int, decode: int) -> None:
    """Raises UsageError for a layout in which no node can change its role and leave one behind."""
    if max(prefill, decode) < 2:
        raise UsageError("a 1P1D cluster has no node to move", hint="--layout 2P3D")


@dataclass(slots=True)
class _Turns:
    """Who goes next: out of the larger need's pool, and back."""

    members: dict[str, deque[str]]
    away: str
    home: str
    out: bool = False

    @classmethod
    def of(cls, deployment: Deployment) -> _Turns:
        roles = {name: pool.role for name, pool in deployment.pools.items()}
        members = {name: deque(slot.id for slot in deployment.slots if slot.pool == name) for name in roles}
        prefill = next(name for name, role in roles.items() if role is Role.PREFILL)
        decode = next(name for name, role in roles.items() if role is Role.DECODE)
        home, away = (prefill, decode) if len(members[prefill]) > 1 else (decode, prefill)
        return cls(members, away, home)

    def next(self) -> tuple[str, str]:
        source, target = (self.away, self.home) if self.out else (self.home, self.away)
        self.out = not self.out
        slot = self.members[source].popleft()
        self.members[target].append(slot)
        return slot, target


def _spread(values: list[float]) -> Mapping[str, float]:
    return {"p50": round(median(values), 3), "max": round(max(values), 3)} if values else {}
