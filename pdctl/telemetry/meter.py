"""One target's history: scrapes in, what rose over a window and what stands now out. Clocks are passed in.

Counters are summed up from the differences of neighbouring scrapes, so that a restart of the process (all counters
back at 0) costs the events between the last scrape and the end, and is never seen as a negative rate.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import add, sub

from pdctl.telemetry.families import Family, Kind
from pdctl.telemetry.histogram import Histogram, merge
from pdctl.telemetry.layout import Layout, build
from pdctl.telemetry.scan import Labels, Scan, Series

KEEP_S = 310.0
_THIN = ((15.0, 0.0), (75.0, 5.0), (KEEP_S, 10.0))
"""Up to which age checkpoints are kept at what distance, at least: enough for windows of 10 s, 1 min and 5 min."""
_THIN_FROM = 96  # checkpoints; half of them stay at one scrape a second


@dataclass(frozen=True, slots=True)
class Tally:
    """What rose between two scrapes `elapsed_s` apart. `counters` by (family, label value). `parts`: the tallies that
    this one was merged of; their times may differ, so its rates are the sums of theirs."""

    elapsed_s: float
    counters: Mapping[tuple[str, str], float]
    histograms: Mapping[str, Histogram]
    parts: tuple[Tally, ...] = ()

    def rate(self, family: str, split: str = "") -> float | None:
        """Per second; None where the target does not show that family."""
        rose = self.counters.get((family, split))
        return None if rose is None else rose / self.elapsed_s

    def rates(self, family: str) -> dict[str, float]:
        """Per second by label value."""
        return {split: rose / self.elapsed_s for (key, split), rose in self.counters.items() if key == family}

    def events_per_s(self, family: str) -> float | None:
        """How many events a histogram counted per second; None where the target does not show it."""
        shown = [(part.histograms[family], part) for part in self.parts or (self,) if family in part.histograms]
        return sum(histogram.count / part.elapsed_s for histogram, part in shown) if shown else None

    def total_per_s(self, family: str) -> float | None:
        """What the events of a histogram add up to, per second: bytes, tokens."""
        shown = [(part.histograms[family], part) for part in self.parts or (self,) if family in part.histograms]
        return sum(histogram.total / part.elapsed_s for histogram, part in shown) if shown else None


def merge_tallies(tallies: Sequence[Tally]) -> Tally | None:
    """What several targets did together: rates are added, histograms' events put together. None of none."""
    if len(tallies) < 2:
        return tallies[0] if tallies else None
    elapsed_s = max(tally.elapsed_s for tally in tallies)
    counters: dict[tuple[str, str], float] = {}
    histograms: dict[str, list[Histogram]] = {}
    for tally in tallies:
        for what, rose in tally.counters.items():
            counters[what] = counters.get(what, 0.0) + rose / tally.elapsed_s * elapsed_s
        for key, histogram in tally.histograms.items():
            histograms.setdefault(key, []).append(histogram)
    merged = {key: merge(several) for key, several in histograms.items()}
    parts = tuple(part for tally in tallies for part in tally.parts or (tally,))
    found = {key: histogram for key, histogram in merged.items() if histogram is not None}
    return Tally(elapsed_s, counters, found, parts)


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    at_s: float
    sums: array[float]


@dataclass(slots=True)
class Meter:
    """Feed it one target's scrapes in order. `families`: what the target may show."""

    families: Sequence[Family]
    last_s: float | None = None
    gauges: dict[tuple[str, str], float] = field(default_factory=dict)
    restarts: int = 0
    _layout: Layout | None = None
    _absent: dict[tuple[str, Labels], float] = field(
        default_factory=dict
    )  # last values of series that are not shown now
    _last: list[float] = field(default_factory=list)
    _values: list[float] = field(default_factory=list)  # of the last scrape, in its order
    _history: list[_Checkpoint] = field(default_factory=list)
    _tallies: dict[float, Tally] = field(default_factory=dict)  # up to the last scrape, by the time they begin at

    def feed(self, at_s: float, scan: Scan) -> bool:
        """Take one scrape of `at_s`. False, and nothing is taken, where it was cut (a part of a scrape would look like
        a restart) or is the last one again. A time before the last is of another clock, as after a boot of the node:
        all begins anew."""
        if scan.damaged or not scan.samples or at_s == self.last_s:
            return False
        if self.last_s is not None and at_s < self.last_s:
            self._history = []
        layout = self._layout
        if layout is None or tuple(scan.samples) != layout.order:
            layout = self._relaid(build(scan.samples, self.families), scan)
        self._values = values = list(scan.samples.values())
        self._read_gauges(layout, values)
        self._add(layout, [values[position] for position in layout.rising], at_s)
        self.last_s = at_s
        self._tallies = {}
        return True

    def events_since_last(self, family: str) -> float | None:
        """How many events of a histogram came between the last two scrapes; None where that is not known."""
        slots = self._layout.histograms.get(family) if self._layout is not None else None
        if slots is None or len(self._history) < 2:
            return None
        return self._history[-1].sums[slots.count] - self._history[-2].sums[slots.count]

    def ranks(self) -> dict[str, dict[tuple[str, str], float]]:
        """The gauges of each DP rank, in their order; empty where there is one."""
        places = self._layout.ranks if self._layout is not None else {}
        return {
            rank: {
                (key, split): value for position, key, split in those if not math.isnan(value := self._values[position])
            }
            for rank, those in places.items()
        }

    def tally(self, window_s: float) -> Tally | None:
        """What rose in the last `window_s` seconds before the last scrape, or since the first one if that is later.
        None before the second scrape."""
        layout = self._layout
        if layout is None or len(self._history) < 2:
            return None
        newest = self._history[-1]
        oldest = self._since(newest.at_s - window_s)
        if oldest.at_s not in self._tallies:  # in the first minutes, long windows begin where shorter ones do
            self._tallies[oldest.at_s] = _tally(layout, oldest, newest)
        return self._tallies[oldest.at_s]

    def _since(self, at_s: float) -> _Checkpoint:
        """The checkpoint next to `at_s`, but never the newest."""
        history = self._history
        after = min(bisect_right(history, at_s, key=_at), len(history) - 2)
        before = max(after - 1, 0)
        return history[before if at_s - history[before].at_s <= history[after].at_s - at_s else after]

    def _read_gauges(self, layout: Layout, values: Sequence[float]) -> None:
        gauges: dict[tuple[str, str], float] = {}
        for position, key, split, kind in layout.gauges:
            value = values[position]
            if math.isnan(value):
                continue
            seen = gauges.get((key, split))
            if seen is not None:
                value = seen + value if kind is Kind.SUM else max(seen, value)
            gauges[key, split] = value
        self.gauges = gauges

    def _add(self, layout: Layout, values: list[float], at_s: float) -> None:
        """Add what rose since the last scrape to the running sums, and keep a checkpoint."""
        rose = list(map(sub, values, self._last)) if self._history else [0.0] * len(values)
        if rose and not (math.isfinite(sum(rose)) and min(rose) >= 0.0):  # a value that is no number, or a reset
            if any(new < old for new, old in zip(values, self._last, strict=True)):
                self.restarts += 1
            rose = [_rise(new, old) for new, old in zip(values, self._last, strict=True)]
            values = [new if math.isfinite(new) else old for new, old in zip(values, self._last, strict=True)]
        before = self._history[-1].sums if self._history else array("d", bytes(8 * layout.size))
        if layout.straight:
            sums = array("d", map(add, before, rose))
        else:
            sums = array("d", before)
            for slot, rise in zip(layout.slots, rose, strict=True):
                sums[slot] += rise
        self._last = values
        self._history.append(_Checkpoint(at_s, sums))
        self._thin(at_s)

    def _relaid(self, layout: Layout, scan: Scan) -> Layout:
        """Take the history over to a new layout. A series that was not there before rose from 0; where a histogram's
        bounds changed, all begins anew, as windows across the change cannot be compared."""
        old = self._layout
        if old is not None and self._history:
            if any(
                slots.bounds != layout.histograms[key].bounds
                for key, slots in old.histograms.items()
                if key in layout.histograms
            ):
                self._history = []
            else:
                # By name: another scanner, as after a lost connection, gives other objects for the same series.
                before = {
                    _named(old.order[position]): value for position, value in zip(old.rising, self._last, strict=True)
                }
                self._history = [_Checkpoint(point.at_s, _moved(point.sums, old, layout)) for point in self._history]
                known = self._absent | before
                rising = [_named(layout.order[position]) for position in layout.rising]
                self._last = [known.pop(name, 0.0) for name in rising]
                self._absent = known
        self._layout = layout
        return layout

    def _thin(self, now_s: float) -> None:
        """Drop checkpoints that no window needs; the one that a window starts at is always near enough."""
        if len(self._history) < _THIN_FROM:
            return
        kept = [self._history[0]]
        for point in self._history[1:]:
            age_s = now_s - point.at_s
            distance_s = next((gap for limit, gap in _THIN if age_s <= limit), math.inf)
            if point is self._history[-1] or point.at_s - kept[-1].at_s >= distance_s:
                kept.append(point)
        while len(kept) > 2 and now_s - kept[1].at_s >= KEEP_S:
            del kept[0]
        self._history = kept


def _tally(layout: Layout, oldest: _Checkpoint, newest: _Checkpoint) -> Tally:
    rose = list(map(sub, newest.sums, oldest.sums))
    counters = {what: rose[slot] for what, slot in layout.counters.items()}
    histograms = {
        key: Histogram(
            slots.bounds, tuple(rose[slots.start : slots.total]), rose[slots.total] * slots.scale, rose[slots.count]
        )
        for key, slots in layout.histograms.items()
    }
    return Tally(newest.at_s - oldest.at_s, counters, histograms)


def _named(series: Series) -> tuple[str, Labels]:
    return (series.name, series.labels)


def _at(checkpoint: _Checkpoint) -> float:
    return checkpoint.at_s


def _rise(new: float, old: float) -> float:
    if not math.isfinite(new) or not math.isfinite(old):
        return 0.0
    return new - old if new >= old else new


def _moved(sums: array[float], old: Layout, new: Layout) -> array[float]:
    """The running sums of `old`'s slots in `new`'s places."""
    moved = array("d", [0.0] * new.size)
    for what, slot in old.counters.items():
        if what in new.counters:
            moved[new.counters[what]] = sums[slot]
    for key, slots in old.histograms.items():
        target = new.histograms.get(key)
        if target is not None:
            moved[target.start : target.count + 1] = sums[slots.start : slots.count + 1]
    return moved
