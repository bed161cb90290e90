"""The last quarter of an hour of every figure that screens draw: a ring with one slot a second, fixed in size. Pure.

Slots are seconds of the snapshots' own clock, so a recording fills it like a live feed, and a column of a chart covers
the same seconds in every frame: it does not crawl while it is looked at.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from pdctl.model.figure import Fig, Figure
from pdctl.model.role import Role
from pdctl.model.snapshot import WINDOWS_S, InstanceFigures, NodeFigures, PoolFigures, Snapshot

Key: TypeAlias = tuple[str, str, str]
"""What kind of thing ("client", "pool", "instance", "node", "link", "router"), its name, and which of its figures."""

SPAN_S: Final = 900
WINDOW_S: Final = WINDOWS_S[0]
AGO_S: Final = 60
NEAR_S: Final = 5
"""What is compared: now, and the mean over these seconds about a minute ago."""
ELSEWHERE_S: Final = 15
_STEPS_S: Final = (1, 2, 5, 10, 15, 30, 60)
_EMPTY: Final = -1


@dataclass(slots=True)
class History:
    """Feed it every snapshot. `newest_s` is the last one's second, `first_s` the first's; None before it."""

    span_s: int = SPAN_S
    newest_s: int | None = None
    first_s: int | None = None
    _stamps: array[int] = field(init=False)
    _series: dict[Key, array[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._stamps = array("q", [_EMPTY]) * self.span_s

    def add(self, snapshot: Snapshot) -> None:
        """Keep its figures, and look at its second. One that is older than the last is another place in time: what was
        seen before it is shown with it, and what was seen after it is there again when that time comes."""
        self.fill(snapshot)
        self.look_at(snapshot.taken_s)

    def fill(self, snapshot: Snapshot) -> None:
        """Keep its figures, and go on looking where we are."""
        second = int(snapshot.taken_s)
        slot = second % self.span_s
        if self._stamps[slot] != second:
            self._stamps[slot] = second
            for series in self._series.values():
                series[slot] = math.nan
        for key, figure in figures_of(snapshot):
            if isinstance(figure, Figure):
                kept = self._series.get(key)
                if kept is None:
                    kept = self._series[key] = array("f", [math.nan]) * self.span_s
                kept[slot] = figure.middle
        self.first_s = second if self.first_s is None else min(second, self.first_s)

    def look_at(self, taken_s: float) -> None:
        """From now on, series end at that second."""
        second = int(taken_s)
        lapped = self.newest_s is not None and second // self.span_s != self.newest_s // self.span_s
        self.newest_s = second
        if lapped:
            self._forget()

    def elsewhere(self, taken_s: float) -> bool:
        """Whether nothing is known of the time just before."""
        around = range(int(taken_s) - ELSEWHERE_S, int(taken_s))
        return not any(self._stamps[second % self.span_s] == second for second in around)

    def series(self, key: Key, columns: int, step_s: int) -> tuple[float | None, ...]:
        """`columns` means of `step_s` seconds each, the newest last; None where nothing is known."""
        series = self._series.get(key)
        if series is None or self.newest_s is None:
            return (None,) * columns
        last = self.newest_s // step_s
        return tuple(self._mean(series, column * step_s, step_s) for column in range(last - columns + 1, last + 1))

    def ago(self, key: Key, ago_s: int = AGO_S) -> float | None:
        """What it was so long ago, over a few seconds; None where that is not known."""
        series = self._series.get(key)
        if series is None or self.newest_s is None:
            return None
        return self._mean(series, self.newest_s - ago_s - NEAR_S // 2, NEAR_S)

    @property
    def known_s(self) -> int:
        """How many seconds back it reaches."""
        if self.newest_s is None or self.first_s is None:
            return 0
        return min(self.span_s, self.newest_s - self.first_s + 1)

    @property
    def kept(self) -> int:
        """How many figures there are series of."""
        return len(self._series)

    def _mean(self, series: array[float], begin_s: int, count: int) -> float | None:
        assert self.newest_s is not None
        total, known = 0.0, 0
        oldest = self.newest_s - self.span_s
        for second in range(max(begin_s, oldest + 1), min(begin_s + count, self.newest_s + 1)):
            slot = second % self.span_s
            if self._stamps[slot] == second and not math.isnan(series[slot]):
                total += series[slot]
                known += 1
        return total / known if known else None

    def _forget(self) -> None:
        """Drop what has not been there for the whole span: instances and nodes come and go."""
        assert self.newest_s is not None
        oldest = self.newest_s - self.span_s
        live = [slot for slot, stamp in enumerate(self._stamps) if stamp > oldest]
        gone = [key for key, series in self._series.items() if all(math.isnan(series[slot]) for slot in live)]
        for key in gone:
            del self._series[key]


def step_s(columns: int, span_s: int) -> int:
    """Seconds for one column, so that `columns` of them show `span_s` or a little more; never beyond the ring."""
    for step in _STEPS_S:
        if step * columns >= span_s:
            return step
    return max(1, SPAN_S // max(1, columns))


def filling_step_s(columns: int, known_s: int) -> int:
    """Seconds for one column, so that what is known fills most of them: the scale changes a few times, then stays."""
    fitting = [step for step in _STEPS_S if step * columns <= SPAN_S] or [1]
    return next((step for step in fitting if step * columns >= known_s), fitting[-1])


def figures_of(snapshot: Snapshot) -> Iterator[tuple[Key, Fig]]:
    """Every figure that is kept, of the shortest window."""
    client = snapshot.client.get(WINDOW_S)
    if client is not None:
        yield ("client", "", "ttft_p50"), client.ttft.p50
        yield ("client", "", "ttft_p99"), client.ttft.p99
        yield ("client", "", "itl_p50"), client.itl.p50
        yield ("client", "", "itl_p99"), client.itl.p99
        yield ("client", "", "e2e_p99"), client.e2e.p99
        yield ("client", "", "ttft_share"), client.attainment.ttft
        yield ("client", "", "itl_share"), client.attainment.itl
    yield ("router", "", "requests"), snapshot.router.requests
    for pool in snapshot.pools.values():
        for name, figure in pool_figures_of(pool).items():
            yield ("pool", pool.name, name), figure
    yield from link_figures(snapshot.pools)
    for instance in snapshot.instances.values():
        for name, figure in instance_figures_of(instance).items():
            yield ("instance", instance.name, name), figure
    for node in snapshot.nodes.values():
        for name, figure in node_figures_of(node).items():
            yield ("node", node.name, name), figure


def pool_figures_of(pool: PoolFigures, window_s: int = WINDOW_S) -> Mapping[str, Fig]:
    """The figures of a pool that have a chart."""
    window, load = pool.windows[window_s], pool.load
    return {
        "running": load.running,
        "waiting": load.waiting,
        "kv_usage": load.kv_usage,
        "ttft_p50": window.latencies.ttft.p50,
        "ttft_p99": window.latencies.ttft.p99,
        "itl_p50": window.latencies.itl.p50,
        "itl_p99": window.latencies.itl.p99,
        "tpot_p99": window.latencies.tpot.p99,
        "queue_mean": window.latencies.queue.mean,
        "tokens_in": window.flow.tokens_in,
        "tokens_out": window.flow.tokens_out,
        "requests": window.flow.requests,
    }


def instance_figures_of(instance: InstanceFigures) -> Mapping[str, Fig]:
    """The figures of an instance that have a chart."""
    window = instance.windows[WINDOW_S]
    return {
        "running": instance.load.running,
        "ttft_p99": window.latencies.ttft.p99,
        "itl_p99": window.latencies.itl.p99,
        "tokens_in": window.flow.tokens_in,
        "tokens_out": window.flow.tokens_out,
        "kv_usage": instance.load.kv_usage,
    }


def node_figures_of(node: NodeFigures) -> Mapping[str, Fig]:
    """The figures of a node that have a chart: its hottest GPU, the power of all, and what its NICs move."""
    found: dict[str, Fig] = {}
    if node.gpus:
        hottest = [gpu.temperature_c for gpu in node.gpus if isinstance(gpu.temperature_c, Figure)]
        if hottest:
            found["temperature_c"] = max(hottest, key=lambda figure: figure.middle)
        found |= _sum("power_w", [gpu.power_w for gpu in node.gpus])
        found |= _sum("vram_bytes", [gpu.vram_used_bytes for gpu in node.gpus])
    if node.nics:
        found |= _sum("tx_bytes", [nic.tx_bytes for nic in node.nics])
        found |= _sum("rx_bytes", [nic.rx_bytes for nic in node.nics])
    return found


def link_figures(pools: Mapping[str, PoolFigures]) -> Iterator[tuple[Key, Fig]]:
    """KV that arrived at all decode pools: as measured where the connector counts it, else as derived."""
    decodes = [pool for pool in pools.values() if pool.role is Role.DECODE]
    for name in ("bytes_measured", "bytes_derived", "bytes_nic"):
        yield from (
            (("link", "", key), figure)
            for key, figure in _sum(name, [getattr(pool.kv[WINDOW_S], name) for pool in decodes]).items()
        )


def _sum(name: str, figures: list[Fig]) -> dict[str, Fig]:
    """Nothing where one of them is unknown: a part is not the sum."""
    known = [figure for figure in figures if isinstance(figure, Figure)]
    if not known or len(known) < len(figures):
        return {}
    total = math.fsum(figure.middle for figure in known)
    return {name: Figure.exact(total, max(figure.age_s for figure in known), known[0].basis)}
