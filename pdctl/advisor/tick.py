"""Snapshots between two ticks of the policy -> what it is shown. Pure, but for what was seen since the last tick."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from pdctl.advisor.observation import Observation
from pdctl.model.deployment import Deployment
from pdctl.model.figure import Fig, Figure
from pdctl.model.hold import Holds
from pdctl.model.role import Role
from pdctl.model.snapshot import WINDOWS_S, PoolFigures, Snapshot, Vital
from pdctl.perf.days.ratio import Ratio

WINDOW_S: Final = WINDOWS_S[0]
JUDGED_S: Final = WINDOWS_S[1]
STALE_TICKS: Final = 3
GAP_TICKS: Final = 5
"""Nobody looked for that many intervals: what came meanwhile is not known, and not taken as the rate of now."""
_UNSETTLED: Final = (Vital.STARTING, Vital.DRAINING)


@dataclass(slots=True)
class Counts:
    """What rates over time add up to."""

    requests: float = 0.0
    tokens: float = 0.0

    @property
    def mean(self) -> float | None:
        return self.tokens / self.requests if self.requests > 0 and self.tokens > 0 else None

    def less(self, requests: int) -> Counts:
        """What is left when so many have been told, each with the mean of tokens."""
        return Counts(self.requests - requests, self.tokens - requests * (self.mean or 0.0))


@dataclass(slots=True)
class TickBook:
    """`take` every snapshot, `observe` at every tick of the policy. Times are monotonic seconds."""

    _latest: Snapshot | None = None
    _seen_s: float | None = None
    _ticked_s: float | None = None
    _offered: float = 0.0
    _isl: float | None = None
    _read: Counts = field(default_factory=Counts)
    _written: Counts = field(default_factory=Counts)
    _blind: dict[str, None] = field(default_factory=dict)

    def take(self, snapshot: Snapshot, now_s: float) -> None:
        """Add what came since the last snapshot, by the rates of now."""
        since_s = now_s - self._seen_s if self._seen_s is not None else 0.0
        self._latest, self._seen_s = snapshot, now_s
        if self._ticked_s is None:
            self._ticked_s = now_s
        if since_s > GAP_TICKS * snapshot.interval_s:
            self._blind["figures between two looks"] = None
            return
        stale_s = STALE_TICKS * snapshot.interval_s + WINDOW_S
        self._offered += since_s * self._value(snapshot.router.requests, "the router's count of requests", stale_s)
        for role, counts, name in (
            (Role.PREFILL, self._read, "tokens_in"),
            (Role.DECODE, self._written, "tokens_ended"),
        ):
            for pool in _pools(snapshot, role):
                flow = pool.windows[WINDOW_S].flow
                counts.requests += since_s * self._value(flow.requests, f"requests of {pool.name}", stale_s)
                counts.tokens += since_s * self._value(getattr(flow, name), f"tokens of {pool.name}", stale_s)

    def _value(self, figure: Fig, name: str, stale_s: float) -> float:
        if isinstance(figure, Figure) and figure.age_s <= stale_s:
            return figure.middle
        self._blind[name] = None
        return 0.0

    def observe(
        self, now_s: float, deployment: Deployment, holds: Holds, *, held: str = "", moving: Role | None = None
    ) -> Observation | None:
        """What was seen since the last tick; None before there is anything. `moving`: our own move's donor. While it
        lasts engines that start or drain are expected."""
        snapshot, since_s = self._latest, self._ticked_s
        if snapshot is None or since_s is None or now_s <= since_s:
            return None
        client = snapshot.client.get(JUDGED_S)
        stale = (*self._blind, *(_left_out(snapshot) if moving is None else ()))
        if not held and moving is None:
            held = next(_unsettled(snapshot), "")
        if holds.trouble and not held:
            held = f"which slots are held is not known: {holds.trouble}"
        if self._seen_s is not None and now_s - self._seen_s > GAP_TICKS * snapshot.interval_s:
            stale = ("nothing was seen lately", *stale)
        offered, finished = _whole(self._offered), _whole(self._written.requests)
        self._isl = self._read.mean or self._isl
        seen = Observation(
            at_s=now_s,
            over_s=now_s - since_s,
            ratio=_ratio(snapshot),
            offered=offered,
            isl=self._isl,
            finished=finished,
            osl=self._written.mean,
            ttft_met=_middle(client.attainment.ttft) if client else None,
            itl_met=_middle(client.attainment.itl) if client else None,
            reading=_in_hand(snapshot, Role.PREFILL),
            writing=_in_hand(snapshot, Role.DECODE),
            moving=moving,
            fixed_prefill=fixed(deployment, holds, Role.PREFILL),
            fixed_decode=fixed(deployment, holds, Role.DECODE),
            held=held,
            stale=stale,
        )
        self._ticked_s, self._blind = now_s, {}
        # A part of a request is counted with the rest of it, at the next tick. Prompts are as long as the last ones
        # while none is read.
        self._offered -= offered
        self._read, self._written = Counts(), self._written.less(finished)
        return seen


def fixed(deployment: Deployment, holds: Holds, role: Role) -> int:
    """Serving slots of a role that an operator has pinned: they are nobody's to move."""
    pinned = [holds.standing[slot.id] for slot in deployment.slots if slot.id in holds.standing and slot.pool]
    roles: Mapping[str, Role] = {slot.id: deployment.pools[slot.pool].role for slot in deployment.slots if slot.pool}
    return sum(1 for hold in pinned if hold.in_service and roles[hold.slot] is role)


def _whole(count: float) -> int:
    """Without its part of a request; sums of rates are a little off."""
    return int(count + 1e-6)


def _pools(snapshot: Snapshot, role: Role) -> Iterator[PoolFigures]:
    return (pool for pool in snapshot.pools.values() if pool.role is role and pool.instances)


def _ratio(snapshot: Snapshot) -> Ratio:
    serving = [seen.role for seen in snapshot.instances.values() if seen.member and seen.vital is Vital.UP]
    return Ratio(serving.count(Role.PREFILL), serving.count(Role.DECODE))


def _unsettled(snapshot: Snapshot) -> Iterator[str]:
    return (f"{seen.name} is {seen.vital}" for seen in snapshot.instances.values() if seen.vital in _UNSETTLED)


def _left_out(snapshot: Snapshot) -> Iterator[str]:
    """Members that give no figures; who is down or held is known, and not counted among those that serve."""
    for pool in snapshot.pools.values():
        for name in pool.left_out:
            seen = snapshot.instances.get(name)
            if seen is not None and seen.member is not False and seen.vital in (Vital.STALE, Vital.UNKNOWN):
                yield f"figures of {name}"


def _in_hand(snapshot: Snapshot, role: Role) -> float:
    return sum(
        _middle(figure) or 0.0
        for pool in _pools(snapshot, role)
        for figure in (pool.load.running, pool.load.waiting, pool.load.deferred)
    )


def _middle(figure: Fig) -> float | None:
    return figure.middle if isinstance(figure, Figure) else None
