"""Which side holds the cluster back, in one line of words, with the figures it rests on. Pure."""

from __future__ import annotations

from typing import Final

from pdctl.model.figure import Fig, Figure
from pdctl.model.role import Role
from pdctl.model.snapshot import WINDOWS_S, PoolFigures, Snapshot

UNTOLD: Final = "unknown: "
"""How the line begins where it cannot be told."""
WINDOW_S: Final = WINDOWS_S[1]
KV_FULL: Final = 0.9
"""Above this share of its KV cache a decode pool is near preemption (vLLM's watermark and one long request)."""
QUEUE_SHARE: Final = 0.3
"""A queue counts as the cause where a request waits in it for this share of the TTFT target, or more."""


def bottleneck(snapshot: Snapshot) -> str:
    """One line; "" where nothing is missed, or no engine was ever heard; what is not known where it cannot be told."""
    if all(instance.scrape_age_s is None for instance in snapshot.instances.values()):
        return ""
    prefill = _pool(snapshot, Role.PREFILL)
    decode = _pool(snapshot, Role.DECODE)
    if prefill is None or decode is None:
        return _mixed(snapshot)
    unseen = [pool.name for pool in (prefill, decode) if pool.instances and not pool.counted]
    if unseen:
        return f"{UNTOLD}no engine of {' and '.join(unseen)} answers"
    client = snapshot.client[WINDOW_S]
    slo = snapshot.slo
    late_first = _below(client.attainment.ttft, slo.attainment)
    late_tokens = _below(client.attainment.itl, slo.attainment)
    queue_s = _value(prefill.windows[WINDOW_S].latencies.queue.mean)
    kv = _value(decode.load.kv_usage)
    preempted = _value(decode.windows[WINDOW_S].flow.preemptions)
    if late_tokens and (kv or 0) >= KV_FULL:
        return f"decode: its KV cache is {kv:.0%} full and ITL misses {slo.itl_s * 1e3:.0f} ms"
    if preempted:
        return f"decode: it preempts {preempted:.2g} requests/s for want of KV cache"
    if late_tokens:
        return f"decode: ITL misses {slo.itl_s * 1e3:.0f} ms with {_count(decode.load.running)} running"
    if late_first and queue_s is not None and queue_s >= QUEUE_SHARE * slo.ttft_s:
        return f"prefill: requests queue {queue_s:.2f} s there, {_count(prefill.load.waiting)} waiting now"
    if late_first and (_value(decode.load.deferred) or 0) > 0:
        return f"KV transfer: {_count(decode.load.deferred)} requests wait at decode for their KV"
    if late_first:
        return f"prefill: TTFT misses {slo.ttft_s:g} s without a queue: the prompts are long for its speed"
    return ""


def _mixed(snapshot: Snapshot) -> str:
    pools = [pool for pool in snapshot.pools.values() if pool.role is Role.MIXED]
    if not pools:
        return ""
    client = snapshot.client[WINDOW_S]
    if _below(client.attainment.itl, snapshot.slo.attainment):
        return f"mixed: ITL misses {snapshot.slo.itl_s * 1e3:.0f} ms; prefills stall the decodes beside them"
    if _below(client.attainment.ttft, snapshot.slo.attainment):
        return f"mixed: TTFT misses {snapshot.slo.ttft_s:g} s, {_count(pools[0].load.waiting)} waiting now"
    return ""


def _pool(snapshot: Snapshot, role: Role) -> PoolFigures | None:
    """The busiest pool of a role: the one with the most waiting."""
    pools = [pool for pool in snapshot.pools.values() if pool.role is role]
    return max(pools, key=lambda pool: _value(pool.load.waiting) or 0.0, default=None)


def _below(figure: Fig, wanted: float) -> bool:
    """Whether it is surely below: the whole interval is."""
    return isinstance(figure, Figure) and figure.high < wanted


def _value(figure: Fig) -> float | None:
    return figure.middle if isinstance(figure, Figure) else None


def _count(figure: Fig) -> str:
    return f"{figure.middle:.0f}" if isinstance(figure, Figure) else "an unknown number"
