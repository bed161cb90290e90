"""Where in a flat vector of numbers each figure of one target lies.

A scrape is a few hundred series, and differences of them are taken for several windows every tick; so the series of a
target are mapped once to slots of a vector, ranks of one family to the same slot, and the rest is arithmetic on lists.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pdctl.telemetry.families import Family, Kind
from pdctl.telemetry.scan import Series


@dataclass(frozen=True, slots=True)
class HistogramSlots:
    """`start` and on: one slot per bound; then the sum at `total`, then the count. `bounds` are in seconds or bytes:
    scraped ones times `scale`; `edges` are as scraped."""

    start: int
    edges: tuple[float, ...]
    scale: float
    bounds: tuple[float, ...] = field(init=False)
    total: int = field(init=False)
    count: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "bounds", tuple(edge * self.scale for edge in self.edges))
        object.__setattr__(self, "total", self.start + len(self.edges))
        object.__setattr__(self, "count", self.total + 1)


@dataclass(frozen=True, slots=True)
class Layout:
    """The slots of one target. `order`: the series of a scrape in their order, which is what it is valid for.

    `rising`: positions in `order` of what only rises (counters, histograms), by their slots; `slots` the slot of each.
    `gauges`: (position, family key, label value) of the rest; `ranks`: the same by DP rank, where there are several.
    """

    order: tuple[Series, ...]
    rising: tuple[int, ...]
    slots: tuple[int, ...]
    size: int
    counters: Mapping[tuple[str, str], int]
    histograms: Mapping[str, HistogramSlots]
    gauges: tuple[tuple[int, str, str, Kind], ...]
    ranks: Mapping[str, tuple[tuple[int, str, str], ...]] = field(default_factory=dict)
    straight: bool = field(init=False)
    """Whether every slot has one series, as without DP ranks: then what rose lies as the slots do."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "straight", self.slots == tuple(range(self.size)))


def build(order: Iterable[Series], families: Sequence[Family]) -> Layout:
    """The layout of a scrape with these series. Of a family's several names, only the first that is there counts."""
    ordered = tuple(order)
    places = _places(families)
    shown = {series.name for series in ordered}
    counters: dict[tuple[str, str], int] = {}
    rising: dict[int, tuple[str, str, str]] = {}
    gauges: list[tuple[int, str, str, Kind]] = []
    bounds: dict[str, set[float]] = {}
    scales: dict[str, float] = {}
    for position, series in enumerate(ordered):
        found = places.get(series.name)
        if found is None:
            continue
        family, suffix, base = found
        if base != _first_shown(family, shown):
            continue
        split = series.label(family.split) if family.split else ""
        if family.kind is Kind.HISTOGRAM:
            scales[family.key] = (family.scale or {}).get(base, 1.0)
            bound = series.label("le") if suffix == "_bucket" else ""
            if suffix == "_bucket":
                edge = _edge(bound)
                if edge is None:
                    continue
                bounds.setdefault(family.key, set()).add(edge)
            rising[position] = (family.key, suffix, bound)
        elif family.kind is Kind.COUNTER:
            counters.setdefault((family.key, split), len(counters))
            rising[position] = (family.key, "", split)
        else:
            gauges.append((position, family.key, split, family.kind))
    histograms, size = _lay_histograms(bounds, scales, start=len(counters))
    slots = {position: _slot(what, counters, histograms) for position, what in rising.items()}
    kept = sorted((slot, position) for position, slot in slots.items() if slot is not None)
    return Layout(
        ordered,
        tuple(position for _, position in kept),
        tuple(slot for slot, _ in kept),
        size,
        counters,
        histograms,
        tuple(gauges),
        _ranks(ordered, gauges),
    )


def _ranks(
    order: Sequence[Series], gauges: Iterable[tuple[int, str, str, Kind]]
) -> dict[str, tuple[tuple[int, str, str], ...]]:
    """By the label that names the DP rank: `engine` in vLLM, `dp_rank` in SGLang."""
    found: dict[str, list[tuple[int, str, str]]] = {}
    for position, key, split, _ in gauges:
        rank = order[position].label("engine") or order[position].label("dp_rank")
        found.setdefault(rank, []).append((position, key, split))
    by_number = sorted(found, key=lambda rank: (len(rank), rank))
    return {rank: tuple(found[rank]) for rank in by_number} if len(found) > 1 else {}


def _lay_histograms(
    bounds: Mapping[str, set[float]], scales: Mapping[str, float], *, start: int
) -> tuple[dict[str, HistogramSlots], int]:
    laid: dict[str, HistogramSlots] = {}
    for key, edges in bounds.items():
        scale = scales[key]
        laid[key] = HistogramSlots(start, tuple(sorted(edges)), scale)
        start += len(edges) + 2
    return laid, start


def _slot(
    what: tuple[str, str, str],
    counters: Mapping[tuple[str, str], int],
    histograms: Mapping[str, HistogramSlots],
) -> int | None:
    key, suffix, label = what
    if not suffix:
        return counters[key, label]
    histogram = histograms.get(key)
    if histogram is None:  # a sum and a count without buckets
        return None
    if suffix == "_sum":
        return histogram.total
    if suffix == "_count":
        return histogram.count
    edge = _edge(label)
    return None if edge is None else histogram.start + histogram.edges.index(edge)


def _places(families: Sequence[Family]) -> dict[str, tuple[Family, str, str]]:
    """Sample name -> its family, its suffix, and the name without it."""
    return {
        name + suffix: (family, suffix, name)
        for family in families
        for name in family.names
        for suffix in (("_bucket", "_sum", "_count") if family.kind is Kind.HISTOGRAM else ("",))
    }


def _first_shown(family: Family, shown: set[str]) -> str | None:
    suffix = "_bucket" if family.kind is Kind.HISTOGRAM else ""
    return next((name for name in family.names if name + suffix in shown), None)


def _edge(text: str) -> float | None:
    try:
        edge = float(text)
    except ValueError:
        return None
    return None if math.isnan(edge) else edge
