"""What Pulse says of a snapshot: what clients get, both lanes and the link between, what holds it back. Pure.

No layout here: `pulse_lines` sets it in columns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pdctl.model.figure import Fig, Figure, Latency
from pdctl.model.reading import Unknown
from pdctl.model.role import Role
from pdctl.model.snapshot import (
    WINDOWS_S,
    Alert,
    PoolFigures,
    RouterFigures,
    Snapshot,
)
from pdctl.text.duration import duration
from pdctl.text.figures import UNKNOWN, amount, seconds, share
from pdctl.tui.history import History, Key
from pdctl.tui.levels import Level, of_alert, of_vital, worst
from pdctl.tui.link_view import LinkView, link_view
from pdctl.tui.shown import Freshness, Shown, Trend, shown, trend

KV_FULL: Final = 0.9
"""As in `telemetry.bottleneck`: above this share a decode pool is near preemption."""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of a pool: its name, one or two values (p50 and p99), its trend, the series to draw.

    `unit` stands behind a single value. `key` None: nothing is drawn.
    """

    label: str
    values: tuple[Shown, ...]
    trend: Trend
    key: Key | None
    unit: str = ""
    bar: float | None = None  # drawn instead of a series: a share of 1
    level: Level = Level.PLAIN


@dataclass(frozen=True, slots=True)
class PoolView:
    """One pool of a lane. `queue` is what is in hand now, as words with figures; `trouble` what went wrong."""

    name: str
    role: Role
    members: str
    members_level: Level
    queue: tuple[tuple[str, Shown], ...]
    rows: tuple[Row, ...]
    trouble: str = ""

    @property
    def first(self) -> Row:
        """The figure that stands for the pool where there is room for one."""
        return self.rows[0]


@dataclass(frozen=True, slots=True)
class LaneView:
    """All pools of one role, and how many of all their instances are members."""

    role: Role
    pools: tuple[PoolView, ...]
    members: str
    members_level: Level


@dataclass(frozen=True, slots=True)
class TargetView:
    """What clients see of one latency, and how much of it is within its target."""

    label: str
    p50: Shown
    p99: Shown
    trend: Trend
    key: Key
    target: str
    attained: Shown
    level: Level


@dataclass(frozen=True, slots=True)
class AlertView:
    """One alert: `since` and how often it came back are in `when`."""

    level: Level
    subject: str
    cause: str
    when: str
    hint: str


@dataclass(frozen=True, slots=True)
class PulseView:
    """The whole. `verdict` is the one line in words; `link` None where nothing is handed over."""

    window_s: int
    goal: str
    both: Shown
    targets: tuple[TargetView, ...]
    verdict: str
    verdict_level: Level
    lanes: tuple[LaneView, ...]
    link: LinkView | None
    router: tuple[tuple[str, Shown], ...]
    router_level: Level
    router_word: str
    alerts: tuple[AlertView, ...]
    notes: tuple[str, ...]


def pulse(snapshot: Snapshot, history: History, window_s: int = WINDOWS_S[0], lag_s: float = 0.0) -> PulseView:
    """`window_s`: one of WINDOWS_S. `lag_s`: how old the snapshot is; everything in it is as much older."""
    fresh = Freshness.of(snapshot.interval_s, lag_s)
    client = snapshot.client[window_s]
    verdict, level = _verdict(snapshot)
    lanes = tuple(_lane(role, snapshot, history, window_s, fresh) for role in Role)
    router = snapshot.router
    return PulseView(
        window_s=window_s,
        goal=f"{snapshot.slo.attainment:.0%}",
        both=shown(client.attainment.both, share, fresh),
        targets=(
            _target("TTFT", client.ttft, client.attainment.ttft, snapshot, history, fresh),
            _target("ITL", client.itl, client.attainment.itl, snapshot, history, fresh),
        ),
        verdict=verdict,
        verdict_level=level,
        lanes=tuple(lane for lane in lanes if lane.pools),
        link=link_view(snapshot, history, window_s, fresh),
        router=_router(router, fresh),
        router_level=of_vital(router.vital),
        router_word=f"{router.vital.value}: {router.why}" if router.why else router.vital.value,
        alerts=tuple(alert_view(alert, snapshot.taken_s + lag_s) for alert in snapshot.alerts),
        notes=snapshot.notes,
    )


def alert_view(alert: Alert, now_s: float) -> AlertView:
    """An alert in words."""
    again = f", again {alert.folded}x" if alert.folded else ""
    return AlertView(
        of_alert(alert.level), alert.subject, alert.cause, f"{duration(now_s - alert.since_s)}{again}", alert.hint
    )


def _target(
    label: str, latency: Latency, within: Fig, snapshot: Snapshot, history: History, fresh: Freshness
) -> TargetView:
    target_s = snapshot.slo.ttft_s if label == "TTFT" else snapshot.slo.itl_s
    key = ("client", "", f"{label.lower()}_p99")
    return TargetView(
        label,
        shown(latency.p50, seconds, fresh),
        shown(latency.p99, seconds, fresh),
        trend(latency.p99, history, key, up_is_good=False),
        key,
        f"<{seconds(Figure.exact(target_s, 0.0))}",
        shown(within, share, fresh),
        attained_level(within, snapshot.slo.attainment),
    )


def attained_level(within: Fig, goal: float) -> Level:
    """GOOD where the whole interval reaches the goal, BAD where none of it does, else nobody can say."""
    if isinstance(within, Unknown):
        return Level.UNKNOWN
    if within.low >= goal:
        return Level.GOOD
    return Level.BAD if within.high < goal else Level.UNKNOWN


def _verdict(snapshot: Snapshot) -> tuple[str, Level]:
    if snapshot.bottleneck.startswith("unknown"):
        return snapshot.bottleneck, Level.UNKNOWN
    if snapshot.bottleneck:
        return f"held back by {snapshot.bottleneck}", Level.WARN
    window_s = WINDOWS_S[1]
    client = snapshot.client[window_s]
    count = client.ttft.count
    if isinstance(count, Figure) and count.high == 0:
        return f"no request in the last {window_s} s", Level.DIM
    shares = (client.attainment.ttft, client.attainment.itl)
    both = [attained_level(within, snapshot.slo.attainment) for within in shares]
    if worst(both) is Level.GOOD:
        return "nothing holds the cluster back: TTFT and ITL meet their targets", Level.GOOD
    if Level.BAD in both:
        return "a target is missed, and no side stands out", Level.WARN
    if any(isinstance(within, Unknown) for within in shares):
        return "whether anything holds the cluster back is not known yet", Level.UNKNOWN
    return "nothing is surely missed; the histograms are too coarse to say more", Level.UNKNOWN


def _lane(role: Role, snapshot: Snapshot, history: History, window_s: int, fresh: Freshness) -> LaneView:
    pools = [pool for pool in snapshot.pools.values() if pool.role is role]
    known = [pool.members for pool in pools if pool.members is not None]
    members = str(sum(known)) if len(known) == len(pools) else UNKNOWN
    return LaneView(
        role,
        tuple(_pool(pool, history, window_s, fresh) for pool in pools),
        f"{members}/{sum(pool.instances for pool in pools)}",
        worst([_members_level(pool) for pool in pools]),
    )


def _pool(pool: PoolFigures, history: History, window_s: int, fresh: Freshness) -> PoolView:
    load = pool.load
    queue = [("running", load.running), ("waiting", load.waiting)]
    if pool.role is Role.DECODE:
        queue.append(("for KV", load.deferred))
    members = UNKNOWN if pool.members is None else str(pool.members)
    return PoolView(
        name=pool.name,
        role=pool.role,
        members=f"{members}/{pool.instances}",
        members_level=_members_level(pool),
        queue=tuple((word, shown(figure, amount, fresh)) for word, figure in queue),
        rows=_rows(pool, history, window_s, fresh),
        trouble=_trouble(pool, window_s),
    )


def _members_level(pool: PoolFigures) -> Level:
    if pool.members is None:
        return Level.UNKNOWN
    if pool.members == 0 and pool.instances:
        return Level.BAD
    return Level.GOOD if pool.members == pool.instances else Level.WARN


_OF_ROLE: Final = {
    Role.PREFILL: (("TTFT", "ttft"), ("queued", "queue")),
    Role.DECODE: (("ITL", "itl"), ("TPOT", "tpot")),
    Role.MIXED: (("TTFT", "ttft"), ("ITL", "itl"), ("TPOT", "tpot"), ("queued", "queue")),
}
_FLOWS: Final = {
    Role.PREFILL: (("in", "tokens_in", "tok/s"), ("done", "requests", "req/s")),
    Role.DECODE: (("out", "tokens_out", "tok/s"), ("done", "requests", "req/s")),
    Role.MIXED: (("in", "tokens_in", "tok/s"), ("out", "tokens_out", "tok/s"), ("done", "requests", "req/s")),
}
_SERIES: Final = {"ttft": "ttft_p99", "itl": "itl_p99", "tpot": "tpot_p99", "queue": "queue_mean"}


def _rows(pool: PoolFigures, history: History, window_s: int, fresh: Freshness) -> tuple[Row, ...]:
    window = pool.windows[window_s]
    rows = []
    for label, name in _OF_ROLE[pool.role]:
        latency: Latency = getattr(window.latencies, name)
        key = ("pool", pool.name, _SERIES[name])
        values = (shown(latency.p50, seconds, fresh), shown(latency.p99, seconds, fresh))
        rows.append(Row(label, values, trend(latency.p99, history, key, up_is_good=False), key))
    for label, name, unit in _FLOWS[pool.role]:
        figure: Fig = getattr(window.flow, name)
        key = ("pool", pool.name, name)
        rows.append(Row(label, (shown(figure, amount, fresh),), trend(figure, history, key), key, unit))
    return (*rows, _kv_row(pool, history, fresh))


def _kv_row(pool: PoolFigures, history: History, fresh: Freshness) -> Row:
    usage = shown(pool.load.kv_usage, share, fresh)
    key = ("pool", pool.name, "kv_usage")
    full = usage.value is not None and usage.value >= KV_FULL
    level = Level.WARN if full and pool.role is not Role.PREFILL else Level.PLAIN
    return Row("KV", (usage,), trend(pool.load.kv_usage, history, key), key, "full", usage.value, level)


def _trouble(pool: PoolFigures, window_s: int) -> str:
    """What went wrong in the window, or who is in no sum; "" where nothing is."""
    kv = pool.kv[window_s]
    flow = pool.windows[window_s].flow
    found = {**flow.errors, "preempted": flow.preemptions, "KV failed": kv.failed, "KV expired": kv.expired}
    parts = [f"{name} {amount(figure)}/s" for name, figure in found.items() if _low(figure)]
    if _low(kv.local_compute) and pool.role is Role.DECODE:
        parts.append(f"{amount(kv.local_compute)} tok/s computed by decode")
    if pool.left_out:
        one = len(pool.left_out) == 1
        who = pool.left_out[0] if one else f"{len(pool.left_out)} instances"
        parts.append(f"{who}: no figures")
    return "; ".join(parts)


def _low(figure: Fig) -> float:
    return figure.low if isinstance(figure, Figure) else 0.0


def _router(router: RouterFigures, fresh: Freshness) -> tuple[tuple[str, Shown], ...]:
    def say(figure: Fig, text: Callable[[Fig], str] = amount) -> Shown:
        return shown(figure, text, fresh)

    found = [("req/s", say(router.requests)), ("pending", say(router.pending)), ("active", say(router.active))]
    failing = {kind: figure for kind, figure in router.errors.items() if _low(figure)}
    found += [(f"{kind}/s", Shown(amount(figure), Level.BAD)) for kind, figure in failing.items()]
    if router.members:
        count = sum(router.members.values())
        old = router.membership_age_s
        age = "" if old is None or old + fresh.lag_s <= fresh.stale_after_s + 5.0 else duration(old + fresh.lag_s)
        level = Level.DIM if age else Level.PLAIN
        found.append(("registered", Shown(f"{count}/{len(router.members)}", level, age)))
    else:
        found.append(("registered", Shown(UNKNOWN, Level.UNKNOWN)))
    return tuple(found)
