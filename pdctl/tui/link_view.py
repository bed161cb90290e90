"""The link between prefill and decode: KV that moves, how long a hand-off takes, and which pairs work. Pure."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Final

from pdctl.model.figure import Basis, Fig, Figure
from pdctl.model.reading import Unknown
from pdctl.model.role import Role
from pdctl.model.snapshot import PairFigures, PairState, PoolFigures, Snapshot
from pdctl.text.figures import amount, seconds
from pdctl.tui.history import History, Key
from pdctl.tui.levels import Level, of_pair, worst
from pdctl.tui.shown import Freshness, Shown, Trend, shown, trend

SOURCES: Final = (
    ("bytes_measured", "measured"),
    ("bytes_derived", "derived"),
    ("bytes_nic", "by NIC"),
)
"""Where KV bytes come from, best first: the connector's own, tokens times bytes, or what the ports count, which is
other traffic too."""
CANARY: Final = "canary"
TRANSFER: Final = "transfer"
"""What tells how long a hand-off takes: a whole tiny request through a pair, or the connector's own times."""


@dataclass(frozen=True, slots=True)
class LinkView:
    """`rate` in bytes a second with how it is known (`basis`); `handoff` the p99 of the pairs' last canaries, or of all
    transfers where the connector counts them (`handoff_by`); `pairs` in words."""

    rate: Shown
    basis: str
    trend: Trend
    key: Key
    nic: Shown
    handoff: Shown
    handoff_by: str
    pairs: str
    level: Level
    trouble: str


def link_view(snapshot: Snapshot, history: History, window_s: int, fresh: Freshness) -> LinkView | None:
    """None where the cluster hands nothing over."""
    decodes = [pool for pool in snapshot.pools.values() if pool.role is Role.DECODE]
    if not decodes or not any(pool.role is Role.PREFILL for pool in snapshot.pools.values()):
        return None
    name, basis, rate = _rate(decodes, window_s)
    key = ("link", "", name)
    pairs, level = _pairs(snapshot.pairs)
    handoff, by = _handoff(decodes, snapshot.pairs, window_s)
    broken = [pair for pair in snapshot.pairs if pair.state is PairState.BROKEN]
    first = f"{broken[0].prefill} > {broken[0].decode}: {broken[0].why}" if broken else ""
    return LinkView(
        rate=shown(rate, bytes_per_s, fresh),
        basis=basis if isinstance(rate, Figure) else "not known",
        trend=trend(rate, history, key),
        key=key,
        nic=shown(summed([pool.kv[window_s].bytes_nic for pool in decodes]), bytes_per_s, fresh),
        handoff=shown(handoff, seconds, fresh),
        handoff_by=by,
        pairs=pairs,
        level=level,
        trouble=first,
    )


def bytes_per_s(figure: Fig) -> str:
    """`~3.4GB/s`."""
    return amount(figure) if isinstance(figure, Unknown) else amount(figure, "B/s")


def summed(figures: list[Fig]) -> Fig:
    """The sum, unknown where one of them is; as sure as the least sure of them."""
    known: list[Figure] = []
    for figure in figures:
        if isinstance(figure, Unknown):
            return figure
        known.append(figure)
    if not known:
        return Unknown("there is nothing to add")
    basis = next((figure.basis for figure in known if figure.basis is not Basis.MEASURED), Basis.MEASURED)
    low, high = math.fsum(figure.low for figure in known), math.fsum(figure.high for figure in known)
    return Figure(low, high, max(figure.age_s for figure in known), basis, known[0].note)


def _rate(decodes: list[PoolFigures], window_s: int) -> tuple[str, str, Fig]:
    best: tuple[str, str, Fig] | None = None
    for name, word in SOURCES:
        figure = summed([getattr(pool.kv[window_s], name) for pool in decodes])
        if isinstance(figure, Figure):
            return name, word, figure
        if name == "bytes_derived":
            best = (name, word, figure)  # its reason says most of what is missing
    assert best is not None
    return best


def _handoff(decodes: list[PoolFigures], pairs: tuple[PairFigures, ...], window_s: int) -> tuple[Fig, str]:
    """By canary: the p99 over pairs of their last ones, which for a hundred pairs or fewer is the slowest."""
    known = sorted((pair.handoff_s for pair in pairs if isinstance(pair.handoff_s, Figure)), key=lambda one: one.middle)
    if known:
        place = max(0, math.ceil(0.99 * len(known)) - 1)
        return known[place], CANARY
    moved = [pool.kv[window_s].transfer_time.p99 for pool in decodes]
    times = [figure for figure in moved if isinstance(figure, Figure)]
    if times:
        return max(times, key=lambda figure: figure.middle), TRANSFER
    return Unknown("no canary came through yet" if pairs else "canaries are off"), CANARY


def _pairs(pairs: tuple[PairFigures, ...]) -> tuple[str, Level]:
    if not pairs:
        return "untried", Level.UNKNOWN
    counts = Counter(pair.state for pair in pairs)
    bad = [f"{counts[state]} {state.value}" for state in (PairState.BROKEN, PairState.SUSPECT) if counts[state]]
    said = bad or [f"{counts[PairState.OK]}/{len(pairs)} ok"]
    return ", ".join(said), worst([of_pair(state) for state in counts])  # what nobody tried is not called well
