"""What is offered, out of ticks: windows that reach back as far as the traffic has been alike, and its past stretches.

A fixed window is slow after a change or noisy before it. These are cut where the newer ticks differ from the older by
more than chance does (the idea of ADWIN: Bifet and Gavalda, 2007): after a change they hold the new traffic only, and
what was cut off is a finished stretch of the past. Rate, prompts and outputs have a window each, since outputs are
known only when requests end.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from pdctl.perf.closed_form import Offer

SURPRISE = 4.0
"""A change is one of so many standard errors,"""
LEAST = 0.12
"""and of such a share of the mean;"""
EVENTS = 6.0
"""and so many requests at least came or ended since."""


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
class Window:
    """A weighted mean over as many of the newest samples as are alike. A sample is (time, weight, sum): of lengths the
    requests and their tokens, of rates the seconds and the requests (`counts`: those vary at least as Poisson's do)."""

    counts: bool
    longest_s: float
    samples: deque[tuple[float, float, float]] = field(default_factory=deque)

    def add(self, at_s: float, weight: float, total: float) -> float | None:
        """Take a sample; when the change was, if it shows one."""
        self.samples.append((at_s, weight, total))
        while self.samples[0][0] < at_s - self.longest_s:
            self.samples.popleft()
        keep = self._alike()
        if keep == len(self.samples):
            return None
        while len(self.samples) > keep:
            changed_s = self.samples.popleft()[0]
        return changed_s

    @property
    def mean(self) -> float | None:
        weight = sum(one[1] for one in self.samples)
        return sum(one[2] for one in self.samples) / weight if weight else None

    def _alike(self) -> int:
        """How many of the newest samples to keep: those since the most surprising change, or all."""
        samples = self.samples
        size = len(samples)
        weight, total = sum(one[1] for one in samples), sum(one[2] for one in samples)
        worst, keep = SURPRISE, size
        old_weight = old_total = old_squares = 0.0
        for place, (_, each_weight, each_total) in enumerate(samples, 1):
            old_weight += each_weight
            old_total += each_total
            old_squares += each_total * each_total / each_weight
            if place < 3 or place > size - 2:
                continue
            new_weight, new_total = weight - old_weight, total - old_total
            if (new_total + old_total / old_weight * new_weight if self.counts else new_weight) < EVENTS:
                break
            old, new = old_total / old_weight, new_total / new_weight
            if abs(new - old) <= LEAST * max(old, new):
                continue
            spread = max(0.0, old_squares - old_total * old) / (place - 1)
            # Few samples that happen to be alike say little of the spread.
            spread = max(spread, old if self.counts else (0.15 * old) ** 2)
            surprise = abs(new - old) / math.sqrt(spread * (1 / old_weight + 1 / new_weight))
            if surprise > worst:
                worst, keep = surprise, size - place
        return keep


@dataclass(slots=True)
class Demand:
    """`past`: finished stretches, oldest first. The present one began at `begin_s`."""

    longest_s: float = 900.0
    past: list[Stretch] = field(default_factory=list)
    begin_s: float = 0.0
    now_s: float = 0.0
    _rate: Window = field(init=False)
    _isl: Window = field(init=False)
    _osl: Window = field(init=False)

    def __post_init__(self) -> None:
        self._rate = Window(True, self.longest_s)
        self._isl, self._osl = Window(False, self.longest_s), Window(False, self.longest_s)

    def add(self, at_s: float, tick: Counted) -> bool:
        """Take one tick; whether the traffic turned out to have changed."""
        before = self.offer
        self.now_s = at_s
        changes = [self._rate.add(at_s, tick.over_s, tick.offered)]
        if tick.offered:
            changes.append(self._isl.add(at_s, tick.offered, tick.tokens_in))
        if tick.finished:
            changes.append(self._osl.add(at_s, tick.finished, tick.tokens_out))
        found = [one for one in changes if one is not None]
        if not found:
            return False
        ended_s = max(self.begin_s, min(found))
        if before is not None and ended_s > self.begin_s:
            self.past.append(Stretch(self.begin_s, ended_s, before))
            self.begin_s = ended_s
        return True

    @property
    def offer(self) -> Offer | None:
        """What is offered now; None until lengths were seen."""
        rate, isl, osl = self._rate.mean, self._isl.mean, self._osl.mean
        if rate is None or isl is None or osl is None:
            return None
        return Offer(rate, max(1.0, isl), max(1.0, osl))

    @property
    def age_s(self) -> float:
        return self.now_s - self.begin_s
