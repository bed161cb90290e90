"""What the rebalancing policy is shown at every tick. Everything in it can be read off telemetry."""

from __future__ import annotations

from dataclasses import dataclass

from pdctl.model.role import Role
from pdctl.perf.days.ratio import Ratio


@dataclass(frozen=True, slots=True)
class Observation:
    """One tick. Counts are those of the last `over_s` seconds.

    `offered`, `isl`: requests that came to the router and their mean prompt, served or not. `finished`, `osl`: those
    that ended and their mean output. `ttft_met`, `itl_met`: the share of those that ended within each target (None:
    nobody ended, or not known). `reading`, `writing`: requests in hand of the serving prefill and decode instances,
    waiting ones too. `ratio`: who serves now. `moving`: whose instance is on its way to the other role.

    `fixed`: how many serving instances of a role an operator has pinned or holds. `held`: why nothing may move at all.
    `stale`: which figures are too old to go by; with any, the policy holds.
    """

    at_s: float
    over_s: float
    ratio: Ratio
    offered: int
    isl: float | None
    finished: int
    osl: float | None
    ttft_met: float | None = None
    itl_met: float | None = None
    reading: float = 0.0
    writing: float = 0.0
    moving: Role | None = None
    fixed_prefill: int = 0
    fixed_decode: int = 0
    held: str = ""
    stale: tuple[str, ...] = ()

    def fixed(self, role: Role) -> int:
        return self.fixed_prefill if role is Role.PREFILL else self.fixed_decode
