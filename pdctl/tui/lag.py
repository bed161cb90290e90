"""Whether the terminal keeps up: a slow link shows in how long a snapshot waits to be shown. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SHARE: Final = 0.5
"""A snapshot that waits longer than this share of the interval came late."""
LATE_TICKS: Final = 4
"""So many late ones in a row, and the rate goes down: one is a garbage collection, or a window that was resized."""


@dataclass(slots=True)
class Lag:
    """Counts late snapshots; `slower` is asked once per snapshot."""

    in_a_row: int = 0

    def slower(self, waited_s: float, interval_s: float) -> bool:
        """Whether it is time to look less often, given how long this snapshot waited. Begins to count anew then."""
        self.in_a_row = self.in_a_row + 1 if waited_s > SHARE * interval_s else 0
        if self.in_a_row < LATE_TICKS:
            return False
        self.in_a_row = 0
        return True
