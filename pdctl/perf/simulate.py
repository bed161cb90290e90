"""Iteration-level simulation of a layout under a workload: what each request would see, in virtual time."""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count as counter
from itertools import cycle

from pdctl.model.role import Role
from pdctl.perf.engine_run import EngineRun, Flight
from pdctl.perf.layout import Layout, Policy
from pdctl.perf.workload import Workload


@dataclass(frozen=True, slots=True)
class Simulated:
    """What came of it: every request, and the engines' steps, from which gaps between tokens are read."""

    flights: Sequence[Flight]
    engines: Sequence[EngineRun]

    def itl_quantile_s(self, share: float) -> float:
        """The gap between tokens that `share` of all gaps do not exceed."""
        return quantile([(stretch.step_s, stretch.gaps) for each in self.engines for stretch in each.stretches], share)

    def gap_steps(self, flight: Flight) -> tuple[int, int]:
        """The decode steps of its engine that end one of its gaps: from the first on, before the last."""
        first = flight.first_step + (0 if self.engines[flight.decoder].model.role is Role.MIXED else 1)
        return first, first + flight.osl - 1

    def gaps_s(self, flight: Flight) -> list[tuple[float, int]]:
        """One request's own gaps between tokens: (seconds, how many of them), in their order."""
        if flight.first_s is None or flight.osl == 1:
            return []
        engine = self.engines[flight.decoder]
        first, last = self.gap_steps(flight)
        place = bisect_right(engine.stretches, first, key=lambda stretch: stretch.first) - 1
        gaps = []
        while first < last:
            stretch = engine.stretches[place]
            here = min(last, stretch.first + stretch.steps) - first
            gaps.append((stretch.step_s, here))
            first, place = first + here, place + 1
        return gaps


def quantile(weighted: Iterable[tuple[float, int]], share: float) -> float:
    """The quantile of values that each count so often, between neighbours as `numpy.percentile` does it; 0.0 of none.

    How it is done decides: of 999 gaps, ten that are too long still leave the 99th percentile among the short ones.
    """
    ordered = sorted(weighted)
    place = share * (sum(count for _, count in ordered) - 1)
    if place < 0:
        return 0.0
    below = math.floor(place + 1e-9)
    low, high = _ranked(ordered, below), _ranked(ordered, below + 1)
    return low + (high - low) * max(0.0, place - below)


def _ranked(ordered: Sequence[tuple[float, int]], rank: int) -> float:
    """The value at that rank (0 is the lowest); the highest beyond the end."""
    seen = 0
    for value, count in ordered:
        seen += count
        if seen > rank:
            return value
    return ordered[-1][0]


def simulate(layout: Layout, workload: Workload, *, seed: int = 0) -> Simulated:
    """Play the workload to its end. Deterministic for a seed, which places requests on ranks where that is random."""
    run = _Run(layout, workload, seed)
    run.play()
    return Simulated(run.flights, run.engines)


_OFFER, _END, _LAND, _ARRIVE = range(4)


def _choice(policy: Policy, engines: Sequence[EngineRun], dice: random.Random) -> Callable[[], EngineRun]:
    """Who gets the next request of those that do the same leg."""
    if policy is Policy.RANDOM:
        return lambda: dice.choice(engines)
    if policy is Policy.LEAST:
        return lambda: min(engines, key=lambda engine: engine.in_hand)
    turns = cycle(engines)
    return lambda: next(turns)


class _Run:
    """The event loop: offers, arrivals at an engine, ends of steps, KV that lands."""

    def __init__(self, layout: Layout, workload: Workload, seed: int) -> None:
        dice = random.Random(seed)
        self.layout = layout
        self.engines = [EngineRun(model, index, dice) for index, model in enumerate(layout.instances)]
        self.flights = [Flight(n, asked.isl, asked.osl, asked.at_s) for n, asked in enumerate(workload.asked)]
        self.limit = workload.concurrency if workload.concurrency is not None else len(self.flights)
        first_leg = (Role.PREFILL, Role.MIXED)
        readers = [each for each in self.engines if each.model.role in first_leg]
        writers = [each for each in self.engines if each.model.role is Role.DECODE]
        self.reader = _choice(layout.policy, readers, dice)
        self.front_s = max(each.model.constants.front_s for each in readers)
        self.writer = _choice(layout.decode_policy or layout.policy, writers, dice)
        self.waiting: deque[Flight] = deque()
        self.sent = 0
        self.order = counter()
        self.events: list[tuple[float, int, int, Flight | EngineRun, int]] = []
        for flight in self.flights:
            self._at(flight.at_s, _OFFER, flight)

    def _at(self, time_s: float, kind: int, subject: Flight | EngineRun, version: int = 0) -> None:
        heappush(self.events, (time_s, next(self.order), kind, subject, version))

    def play(self) -> None:
        while self.events:
            now_s, _, kind, subject, version = heappop(self.events)
            if isinstance(subject, EngineRun):
                if version == subject.version:
                    self._end(subject, now_s)
            elif kind == _OFFER:
                self.waiting.append(subject)
                self._send(now_s)
            else:
                self._hand(self.reader() if kind == _ARRIVE else self.writer(), subject, now_s)

    def _send(self, now_s: float) -> None:
        while self.waiting and self.sent < self.limit:
            flight = self.waiting.popleft()
            flight.sent_s = now_s
            self.sent += 1
            if self.front_s:
                self._at(now_s + self.front_s, _ARRIVE, flight)
            else:
                self._hand(self.reader(), flight, now_s)

    def _hand(self, engine: EngineRun, flight: Flight, now_s: float) -> None:
        idle = engine.ends_s is None
        engine.arrive(flight)
        if idle:
            self._begin(engine, now_s)
        elif engine.cut(now_s):
            assert engine.ends_s is not None
            self._at(engine.ends_s, _END, engine, engine.version)

    def _begin(self, engine: EngineRun, now_s: float) -> None:
        ends_s = engine.begin(now_s)
        if ends_s is not None:
            self._at(ends_s, _END, engine, engine.version)

    def _end(self, engine: EngineRun, now_s: float) -> None:
        for flight in engine.end():
            if engine.model.role is Role.PREFILL:
                self._at(now_s + self.layout.transfer.after_prefill_s(flight.isl), _LAND, flight)
            else:
                self.sent -= 1
        self._send(now_s)
        # An arrival that `_send` just brought may have begun it already.
        if engine.ends_s is None or engine.ends_s <= now_s:
            self._begin(engine, now_s)
