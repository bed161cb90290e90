"""Holds: an operator's mark on a slot, kept on the lease node until it is taken away. Every command honours it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class HoldKind(StrEnum):
    """DRAINED: out of service, nothing is started, replaced or registered there. QUARANTINED: taken out by pdctl
    itself: its engine died again after it was relaunched, or its canaries fail; it is not relaunched any more. PINNED:
    it serves, and is not moved to another pool."""

    DRAINED = "drained"
    QUARANTINED = "quarantined"
    PINNED = "pinned"


@dataclass(frozen=True, slots=True)
class Hold:
    """Who holds a slot (its id, `node.slot`), why and since when. `until_s` None: until it is taken away.

    Both times are wall-clock seconds of the operator who set it.
    """

    slot: str
    kind: HoldKind
    by: str
    reason: str
    since_s: float
    until_s: float | None = None

    def stands(self, now_s: float) -> bool:
        """Whether it still counts at `now_s` (wall clock)."""
        return self.until_s is None or now_s < self.until_s

    @property
    def in_service(self) -> bool:
        """Whether the slot may serve while it is held."""
        return self.kind is HoldKind.PINNED


@dataclass(frozen=True, slots=True)
class Holds:
    """All holds of a cluster as they were read at one moment, by slot id.

    `expired` do not count any more, and lie there until somebody cleans up. `trouble`: why nobody can say what is held,
    which is not the same as nothing.
    """

    standing: Mapping[str, Hold] = field(default_factory=dict)
    expired: Mapping[str, Hold] = field(default_factory=dict)
    trouble: str = ""

    @classmethod
    def at(cls, now_s: float, holds: Iterable[Hold]) -> Holds:
        """Those of `holds` that count at `now_s` (wall clock), apart from those that do not."""
        known = {hold.slot: hold for hold in holds}
        stands = {slot: hold for slot, hold in known.items() if hold.stands(now_s)}
        return cls(stands, {slot: hold for slot, hold in known.items() if slot not in stands})

    @property
    def all(self) -> tuple[Hold, ...]:
        """Standing and expired ones, by slot."""
        return tuple(hold for _, hold in sorted({**self.standing, **self.expired}.items()))
