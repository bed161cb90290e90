"""What is offered, out of ticks: a window that reaches back as far as the traffic has been alike, and its regimes.

A fixed window is slow after a change or noisy before it. This one is cut where the newer ticks differ from the older
ones by more than chance does (the idea of ADWIN: Bifet and Gavalda, 2007), so that after a change it holds the new
traffic only, and what was cut off is a finished stretch of the past.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from pdctl.perf.closed_form import Offer


@dataclass(frozen=True, slots=True)
class Counted:
    """One tick's counts and token sums."""

    over_s: float
    offered: int
    tokens_in: float
    finished: int
    tokens_out: float


@dataclass(frozen=True, slots=True)
class Stretch:
    """Alike traffic from `begin_s` to `end_s`."""

    begin_s: float
    end_s: float
    offer: Offer


@dataclass(slots=True)
class Demand:
    """`longest` ticks at most are one window. A cut needs a change of `surprise` standard errors and of a share of
    `least` of the mean; the newer part has two ticks at least."""

    longest: int = 30
    surprise: float = 4.0
    least: float = 0.12
    past: list[Stretch] = field(default_factory=list)
    begin_s: float = 0.0
    now_s: float = 0.0
    _ticks: deque[Counted] = field(default_factory=deque)
    _osl: float | None = None
    _isl: float | None = None

    def add(self, at_s: float, tick: Counted) -> bool:
        """Take one tick; whether the traffic turned out to have changed."""
        self.now_s = at_s
        self._ticks.append(tick)
        cut = self._change()
        if cut:
            self._close(cut)
        while len(self._ticks) > self.longest:
            self._ticks.popleft()
        return bool(cut)

    @property
    def offer(self) -> Offer | None:
        """What is offered now; None until lengths were seen. Outputs are those of who ended, the last known ones where
        nobody has ended since the change."""
        return self._offer(self._ticks)

    @property
    def age_s(self) -> float:
        return self.now_s - self.begin_s

    def _offer(self, ticks: Sequence[Counted] | deque[Counted]) -> Offer | None:
        offered, finished = sum(one.offered for one in ticks), sum(one.finished for one in ticks)
        if offered:
            self._isl = sum(one.tokens_in for one in ticks) / offered
        if finished:
            self._osl = sum(one.tokens_out for one in ticks) / finished
        if self._isl is None or self._osl is None:
            return None
        return Offer(offered / sum(one.over_s for one in ticks), max(1.0, self._isl), max(1.0, self._osl))

    def _close(self, newer: int) -> None:
        older = [self._ticks.popleft() for _ in range(len(self._ticks) - newer)]
        ended_s = self.now_s - sum(one.over_s for one in self._ticks)
        before = self._offer(older)
        if before is not None and ended_s > self.begin_s:
            self.past.append(Stretch(self.begin_s, ended_s, before))
        self.begin_s = ended_s

    def _change(self) -> int:
        """How many of the newest ticks are unlike the older ones; 0: none."""
        size = len(self._ticks)
        if size < 5:
            return 0
        series = [
            [(one.offered / one.over_s, 1.0) for one in self._ticks],
            [(one.tokens_in / one.offered, one.offered) for one in self._ticks if one.offered],
            [(one.tokens_out / one.finished, one.finished) for one in self._ticks if one.finished],
        ]
        places = [range(size), *([], [])]
        places[1] = [place for place, one in enumerate(self._ticks) if one.offered]  # type: ignore[call-overload]
        places[2] = [place for place, one in enumerate(self._ticks) if one.finished]  # type: ignore[call-overload]
        best, found = self.surprise, 0
        for values, at in zip(series, places, strict=True):
            for cut in range(3, len(values) - 1):
                score = _surprise(values[:cut], values[cut:], self.least)
                if score > best:
                    best, found = score, size - at[cut]
        return found


def _surprise(older: Sequence[tuple[float, float]], newer: Sequence[tuple[float, float]], least: float) -> float:
    """By how many standard errors the newer mean is off; 0.0 where it is off by less than `least` of the older."""
    weight, weight_new = sum(w for _, w in older), sum(w for _, w in newer)
    mean = sum(v * w for v, w in older) / weight
    mean_new = sum(v * w for v, w in newer) / weight_new
    if abs(mean_new - mean) <= least * max(mean, mean_new):
        return 0.0
    variance = sum(w * (v - mean) ** 2 for v, w in older) / weight
    # Few ticks that happen to be alike say little of the spread: a twentieth of the mean at least.
    variance = max(variance, (0.05 * mean) ** 2)
    ticks = variance * (1 / len(older) + 1 / len(newer))
    return abs(mean_new - mean) / math.sqrt(ticks)
