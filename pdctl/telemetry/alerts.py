"""Alerts on snapshots: conditions that have stood for a while, each with its cause and what to do. Pure.

A condition raises after it stood for `raise_after_s` and clears after it was gone for `clear_after_s`; one that comes
and goes stays one alert and is counted (`folded`). Times are the snapshots' own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from pdctl.model.figure import Fig, Figure
from pdctl.model.role import Role
from pdctl.model.snapshot import (
    NOT_RUNNING,
    STOPPED,
    WINDOWS_S,
    Alert,
    AlertLevel,
    PairState,
    PoolFigures,
    Snapshot,
    Source,
    Vital,
)
from pdctl.telemetry.conditions import Condition
from pdctl.telemetry.flapping import FlapBook
from pdctl.telemetry.router import MEMBERS_OLD_S

SHORT_S, MIDDLE_S, LONG_S = WINDOWS_S
OWN_TOKENS: Final = 2.0
"""Prompt tokens per request that decode may compute itself: the last one always, where the connector asks for all but
that (MoRI-IO in READ, vLLM 0.33)."""
MIN_EVENTS: Final = 20
"""An SLO is not said to burn on fewer requests than this: one slow one of three is no rate."""
BURN: Final = 4.0
"""SLO burn: the share of misses is this many times what the target allows, over the long and the short window
(multi-window burn rates as in Google's SRE workbook, chapter 5)."""


Rule = Callable[[Snapshot], Iterator[Condition]]


@dataclass(slots=True)
class _Standing:
    condition: Condition
    since_s: float
    seen_s: float
    raised: bool = False
    gone: bool = False
    returns: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """An alert that was raised or has cleared."""

    alert: Alert
    raised: bool


@dataclass(slots=True)
class AlertBook:
    """Feed it every snapshot; it says what stands and what has just changed."""

    raise_after_s: float = 10.0
    clear_after_s: float = 30.0
    _standing: dict[str, _Standing] = field(default_factory=dict)
    _returns: FlapBook = field(default_factory=FlapBook)
    _last_s: float | None = None

    def take(self, snapshot: Snapshot) -> tuple[tuple[Alert, ...], tuple[Change, ...]]:
        """All alerts that stand now, worst first, and the changes since the last snapshot."""
        now_s = snapshot.taken_s
        if self._last_s is not None and now_s < self._last_s:
            self._set_back(self._last_s - now_s)
        self._last_s = now_s
        found = {condition.id: condition for rule in RULES for condition in rule(snapshot)}
        found |= {condition.id: condition for condition in self._returns.take(snapshot)}
        changes: list[Change] = []
        for condition in found.values():
            self._seen(condition, now_s)
        for key, standing in list(self._standing.items()):
            if key in found:
                if not standing.raised and now_s - standing.since_s >= self._delay_s(standing.condition):
                    standing.raised = True
                    changes.append(Change(_alert(standing), raised=True))
                continue
            standing.gone = True
            if not standing.raised or now_s - standing.seen_s >= self.clear_after_s:
                del self._standing[key]
                if standing.raised:
                    changes.append(Change(_alert(standing), raised=False))
        alerts = sorted(
            (_alert(standing) for standing in self._standing.values() if standing.raised),
            key=lambda alert: (list(AlertLevel).index(alert.level), alert.id),
        )
        return tuple(alerts), tuple(changes)

    def _seen(self, condition: Condition, now_s: float) -> None:
        standing = self._standing.get(condition.id)
        if standing is None:
            self._standing[condition.id] = _Standing(condition, now_s, now_s)
            return
        if standing.gone:
            standing.gone = False
            standing.returns += 1
        standing.condition, standing.seen_s = condition, now_s

    def _set_back(self, by_s: float) -> None:
        """The clock was set back: what stands keeps its age, or it would neither be raised nor cleared for so long."""
        for standing in self._standing.values():
            standing.since_s -= by_s
            standing.seen_s -= by_s
        self._returns.set_back(by_s)

    def _delay_s(self, condition: Condition) -> float:
        """A page does not wait: what is hung, down or stalled was so for a while before it was called that."""
        return 0.0 if condition.level is AlertLevel.PAGE and not condition.waits else self.raise_after_s


def _alert(standing: _Standing) -> Alert:
    condition = standing.condition
    return Alert(
        condition.id,
        condition.level,
        condition.subject,
        condition.cause,
        condition.hint,
        standing.since_s,
        standing.returns,
    )


def _engines(snapshot: Snapshot) -> Iterator[Condition]:
    """Hung, dead and silent ones; what befell all of them is one alert."""
    if _nothing_runs(snapshot):
        cause = "nothing of it runs: it was taken down, or all nodes were booted"
        yield Condition("cluster:down", AlertLevel.PAGE, snapshot.cluster, cause, "`pdctl up` brings it up")
        return
    unread = _unread(snapshot)
    if unread:
        hint = "is Prometheus up, and has it the targets of now? `pdctl export prometheus DIR --targets-only`"
        yield Condition("silent:prometheus", AlertLevel.WARN, "prometheus", unread, hint)
    for instance in snapshot.instances.values():
        name = instance.name
        if instance.held and instance.vital is not Vital.HUNG:
            continue  # somebody took it out of service, and may have stopped it
        match instance.vital:
            case Vital.HUNG:
                hint = f"`pdctl logs {name}`, then `pdctl restart {name}`"
                yield Condition(f"hung:{name}", AlertLevel.PAGE, name, instance.why, hint)
            case Vital.DOWN if instance.why == STOPPED:
                cause = "stopped, as somebody asked for it, and not started again"
                yield Condition(f"down:{name}", AlertLevel.WARN, name, cause, f"`pdctl up {name}` starts it")
            case Vital.DOWN if instance.why == NOT_RUNNING:  # for a moment only while it changes its role
                hint = f"was its node booted? `pdctl up {name}` starts it"
                yield Condition(f"down:{name}", AlertLevel.PAGE, name, NOT_RUNNING, hint, waits=True)
            case Vital.DOWN:
                hint = "`pdctl status` says what it died of; `pdctl up` heals it"
                yield Condition(f"down:{name}", AlertLevel.PAGE, name, f"not running: {instance.why}", hint)
            case Vital.STALE | Vital.UNKNOWN:
                node = snapshot.nodes.get(instance.node)
                if unread or (node is not None and node.reachable is False):
                    continue  # one alert says it for all engines, or for all of the node's
                hint = f"`pdctl status`; `pdctl logs {name}`"
                yield Condition(f"silent:{name}", AlertLevel.WARN, name, instance.why, hint)
            case _:
                pass


def _nothing_runs(snapshot: Snapshot) -> bool:
    """Whether neither the router nor any engine has a unit; one that died left one."""
    engines = [instance for instance in snapshot.instances.values() if not instance.held]
    absent = all(instance.vital is Vital.DOWN and instance.why == NOT_RUNNING for instance in engines)
    return bool(engines) and absent and snapshot.router.vital is Vital.DOWN and snapshot.router.why == NOT_RUNNING


def _unread(snapshot: Snapshot) -> str:
    """Why no engine's figures are known, where they come from a Prometheus that is silent; "" where some are."""
    engines = [instance for instance in snapshot.instances.values() if instance.vital is not Vital.DOWN]
    if snapshot.source is not Source.PROMETHEUS or len(engines) < 2:
        return ""
    silent = all(instance.vital in (Vital.STALE, Vital.UNKNOWN) for instance in engines)
    return f"no engine's figures are there: {engines[0].why}" if silent else ""


def _nodes(snapshot: Snapshot) -> Iterator[Condition]:
    for node in snapshot.nodes.values():
        if node.reachable is False:
            there = [instance for instance in snapshot.instances.values() if instance.node == node.name]
            those = [instance.name for instance in there if not instance.held]
            if there and not those:
                continue  # all that it has is held: whoever works on it knows
            cause = node.why + (f"; nothing is known of {', '.join(those)}" if those else "")
            yield Condition(f"node:{node.name}", AlertLevel.WARN, node.name, cause, f"`ssh` to {node.name} by hand")


def _router(snapshot: Snapshot) -> Iterator[Condition]:
    router = snapshot.router
    if router.vital is Vital.DOWN and not _nothing_runs(snapshot):
        cause = f"the router does not run: {router.why}"
        yield Condition("router:down", AlertLevel.PAGE, "router", cause, "`pdctl logs router`, then `pdctl up`")
    if router.vital is Vital.STALE:
        yield Condition("router:silent", AlertLevel.WARN, "router", router.why, "`pdctl status`, `pdctl logs router`")
    if router.membership_age_s is None or router.membership_age_s > MEMBERS_OLD_S:
        return  # who is registered is not known now
    for role in (Role.PREFILL, Role.DECODE):
        those = [instance for instance in snapshot.instances.values() if instance.role is role]
        if those and router.members and not any(router.members.get(instance.name) for instance in those):
            cause = f"no {role.value} instance is registered: every request fails"
            yield Condition(f"router:no-{role.value}", AlertLevel.PAGE, "router", cause, "`pdctl status`, `pdctl up`")


def _kv_stall(snapshot: Snapshot) -> Iterator[Condition]:
    """Requests wait at decode for KV and nothing arrives: for 10 s while prefill finishes requests, or for a minute."""
    handed_over = any(
        pool.role is Role.PREFILL and _low(pool.windows[SHORT_S].flow.requests) for pool in snapshot.pools.values()
    )
    for pool in snapshot.pools.values():
        if pool.role is not Role.DECODE:
            continue
        deferred = _low(pool.load.deferred)
        window_s = SHORT_S if handed_over else MIDDLE_S  # a long prompt may be at prefill for a while
        window = pool.windows[window_s]
        if deferred and _low(window.flow.tokens_in) == 0.0 and window.covered_s >= 0.9 * window_s:
            cause = f"{deferred:.0f} requests wait for KV and none has arrived for {window_s} s"
            hint = "`pdctl canary` names the pair; `pdctl check --tier 2` tests its links"
            yield Condition(f"kv-stall:{pool.name}", AlertLevel.PAGE, pool.name, cause, hint)
        recomputed = _low(pool.kv[MIDDLE_S].local_compute)
        if recomputed and recomputed > OWN_TOKENS * _begun_per_s(pool):
            cause = f"decode computes {recomputed:.0f} prompt tokens/s itself: their KV did not come"
            yield Condition(f"recompute:{pool.name}", AlertLevel.WARN, pool.name, cause, "`pdctl canary`")


def _begun_per_s(pool: PoolFigures) -> float:
    """Requests per second that got their first token, which is when their prompts are counted."""
    window = pool.windows[MIDDLE_S]
    count = _low(window.latencies.ttft.count)
    return count / window.covered_s if count and window.covered_s else 0.0


def _burn(snapshot: Snapshot) -> Iterator[Condition]:
    allowed = 1.0 - snapshot.slo.attainment
    wanted = {"TTFT": f"{snapshot.slo.ttft_s:g} s", "ITL": f"{snapshot.slo.itl_s * 1e3:g} ms"}
    for name, target in wanted.items():
        long, short = (_missed(snapshot, window_s, name) for window_s in (LONG_S, MIDDLE_S))
        if long is None or short is None or min(long, short) < BURN * max(allowed, 1e-3):
            continue
        if (_low(snapshot.client[LONG_S].ttft.count) or 0.0) < MIN_EVENTS:
            continue
        cause = f"{name} over {target} for {long:.0%} of them in {LONG_S // 60} min (allowed: {allowed:.0%})"
        reason = snapshot.bottleneck or "no side stands out"
        yield Condition(f"slo:{name.lower()}", AlertLevel.WARN, "slo", f"{cause}; {reason}", "`pdctl advise`")


def _pairs(snapshot: Snapshot) -> Iterator[Condition]:
    for pair in snapshot.pairs:
        if pair.state is PairState.BROKEN:
            name = f"{pair.prefill} -> {pair.decode}"
            hint = "`pdctl check --tier 2` tests the links between the two"
            yield Condition(f"pair:{name}", AlertLevel.PAGE, name, f"its canaries fail: {pair.why}", hint)
        elif pair.state is PairState.SUSPECT:
            name = f"{pair.prefill} -> {pair.decode}"
            yield Condition(f"suspect:{name}", AlertLevel.INFO, name, pair.why, "it is tried again next round")


def _missed(snapshot: Snapshot, window_s: int, name: str) -> float | None:
    attained = snapshot.client[window_s].attainment
    figure = attained.ttft if name == "TTFT" else attained.itl
    return 1.0 - figure.high if isinstance(figure, Figure) else None


def _low(figure: Fig) -> float | None:
    return figure.low if isinstance(figure, Figure) else None


RULES: Final[tuple[Rule, ...]] = (_engines, _nodes, _router, _kv_stall, _burn, _pairs)
