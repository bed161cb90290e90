"""What a live cluster is asked for, from its snapshot: rate of offers, lengths, and whether that is enough to go by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pdctl.errors import TooThin
from pdctl.model.figure import Fig, Figure
from pdctl.model.role import Role
from pdctl.model.snapshot import PoolFigures, Snapshot

LEAST_REQUESTS: Final = 30
"""Below that many requests in the window a mean length says little: its standard error is beyond a fifth for lengths
that are spread like an exponential."""
STALE_TICKS: Final = 3


@dataclass(frozen=True, slots=True)
class Observed:
    """Requests per second that were offered, mean prompt and output tokens; over `covered_s` seconds of `window_s`.

    `waiting`: requests that no prefill has begun with. `notes`: what is estimated in it, and how.
    """

    rate_per_s: float
    isl: float
    osl: float
    waiting: float
    covered_s: float
    window_s: int
    notes: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        return f"{self.rate_per_s:.3g} requests/s of {self.isl:.0f} tokens in and {self.osl:.0f} out"


def observed(snapshots: Sequence[Snapshot], window_s: int = 300) -> Observed:
    """The traffic by the last of some ticks, of its last `window_s` seconds; the rate of offers is the mean over the
    ticks, since the router's own is that of its last seconds. Raises TooThin, naming everything that is missing."""
    missing: list[str] = []
    snapshot = snapshots[-1]
    readers = _pools(snapshot, Role.PREFILL) or _pools(snapshot, Role.MIXED)
    writers = _pools(snapshot, Role.DECODE) or _pools(snapshot, Role.MIXED)
    for role, pools in (("prefill", readers), ("decode", writers)):
        if not pools or not any(pool.counted for pool in pools):
            missing.append(f"no {role} engine answers")
    left_out = [name for pool in {id(pool): pool for pool in (*readers, *writers)}.values() for name in pool.left_out]
    if left_out:
        missing.append(f"without figures: {', '.join(left_out)}")
    rate, rate_note = _rate(snapshots, readers, window_s)
    read = _sum(readers, window_s, "requests"), _sum(readers, window_s, "tokens_in")
    written = _sum(writers, window_s, "requests"), _sum(writers, window_s, "tokens_ended")
    isl, osl = _mean(*read), _mean(*written)
    covered_s = min((pool.windows[window_s].covered_s for pool in (*readers, *writers)), default=0.0)
    for name, value in (("the rate of requests", rate), ("prompt lengths", isl), ("output lengths", osl)):
        if value is None:
            missing.append(f"{name}: unknown")
    seen = (read[0] or 0.0) * covered_s
    if not missing and seen < LEAST_REQUESTS:
        missing.append(f"{seen:.0f} requests in {covered_s:.0f} s: at least {LEAST_REQUESTS} are wanted")
    if missing or rate is None or isl is None or osl is None:
        raise TooThin(
            f"too little is seen of the traffic: {'; '.join(missing)}",
            hint="wait for more of it, or give the workload: --isl, --osl and --rate",
        )
    return Observed(rate, isl, osl, _waiting(readers), covered_s, window_s, (rate_note,) if rate_note else ())


def _rate(snapshots: Sequence[Snapshot], readers: tuple[PoolFigures, ...], window_s: int) -> tuple[float | None, str]:
    """The router's count of offers; without it what prefill ended, which is less where it is behind."""
    stale_s = STALE_TICKS * snapshots[-1].interval_s
    offered = [
        figure.middle
        for figure in (snapshot.router.requests for snapshot in snapshots)
        if isinstance(figure, Figure) and figure.age_s <= stale_s
    ]
    if offered and sum(offered) > 0:
        return sum(offered) / len(offered), ""
    served = _sum(readers, window_s, "requests")
    return served, "the rate is that of requests served: the router's own count is not known"


def _pools(snapshot: Snapshot, role: Role) -> tuple[PoolFigures, ...]:
    return tuple(pool for pool in snapshot.pools.values() if pool.role is role and pool.instances)


def _sum(pools: tuple[PoolFigures, ...], window_s: int, name: str) -> float | None:
    """The sum over the pools; None where one of them is not known."""
    total = 0.0
    for pool in pools:
        figure: Fig = getattr(pool.windows[window_s].flow, name)
        if not isinstance(figure, Figure):
            return None
        total += figure.middle
    return total


def _mean(requests: float | None, tokens: float | None) -> float | None:
    return tokens / requests if requests and tokens else None


def _waiting(pools: tuple[PoolFigures, ...]) -> float:
    return sum(pool.load.waiting.middle for pool in pools if isinstance(pool.load.waiting, Figure))
