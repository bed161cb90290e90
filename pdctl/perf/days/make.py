"""Days to play: workloads whose shape and rate change with the hour."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from pdctl.model.role import Role
from pdctl.perf.workload import Asked, Workload

HOUR_S = 3600.0
ROLES = tuple(Role)


@dataclass(frozen=True, slots=True)
class Shape:
    """Prompt and output tokens, each uniform between the two."""

    isl: tuple[int, int]
    osl: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Phase:
    """So many seconds of one shape at one rate."""

    seconds: float
    rate_per_s: float
    shape: Shape


READS = Shape((8192, 8192), (1024, 1024))
WRITES = Shape((1024, 1024), (8192, 8192))
"""The two scenarios of Moreh's tables whose best splits differ: 8K/1K and 1K/8K."""


def drawn(
    span_s: float,
    top_rate_per_s: float,
    rate: Callable[[float], float],
    shape: Callable[[float, random.Random], Shape],
    seed: int,
) -> Workload:
    """Poisson arrivals of a rate that changes (by thinning `top_rate_per_s`), each of the shape of its moment."""
    dice = random.Random(seed)
    asked, at_s = [], dice.expovariate(top_rate_per_s)
    while at_s < span_s:
        if dice.random() * top_rate_per_s < rate(at_s):
            one = shape(at_s, dice)
            asked.append(Asked(at_s, dice.randint(*one.isl), dice.randint(*one.osl)))
        at_s += dice.expovariate(top_rate_per_s)
    return Workload(tuple(asked))


def phased(phases: tuple[Phase, ...], seed: int) -> Workload:
    """One phase after the other, arrivals exponential within each."""
    dice = random.Random(seed)
    asked, at_s, end_s = [], 0.0, 0.0
    for phase in phases:
        begin_s, end_s = end_s, end_s + phase.seconds
        at_s = begin_s + dice.expovariate(phase.rate_per_s)
        while at_s < end_s:
            asked.append(Asked(at_s, dice.randint(*phase.shape.isl), dice.randint(*phase.shape.osl)))
            at_s += dice.expovariate(phase.rate_per_s)
    return Workload(tuple(asked))


def _turn_of_day(at_s: float, span_s: float) -> float:
    """The share of 1K/8K: near 0 in the morning, near 1 in the evening."""
    return 1.0 / (1.0 + math.exp(-12.0 * (at_s / span_s - 0.5)))


def smooth(seed: int, *, span_s: float = 24 * HOUR_S, rate_per_s: float = 1.45, swing: float = 0.1) -> Workload:
    """8K/1K in the morning, more and more 1K/8K towards the evening; the rate swings once over the day."""

    def rate(at_s: float) -> float:
        return rate_per_s * (1.0 + swing * math.sin(2 * math.pi * at_s / span_s))

    def shape(at_s: float, dice: random.Random) -> Shape:
        return WRITES if dice.random() < _turn_of_day(at_s, span_s) else READS

    return drawn(span_s, rate_per_s * (1 + abs(swing)), rate, shape, seed)


def bursts(seed: int, *, span_s: float = 24 * HOUR_S, rate_per_s: float = 1.3, times: float = 1.6) -> Workload:
    """As smooth, and about every half hour one to four minutes of `times` the rate."""
    dice = random.Random(f"bursts {seed}")
    hot: list[tuple[float, float]] = []
    at_s = dice.expovariate(1 / 1800.0)
    while at_s < span_s:
        hot.append((at_s, at_s + dice.uniform(60.0, 240.0)))
        at_s = hot[-1][1] + dice.expovariate(1 / 1800.0)

    def rate(now_s: float) -> float:
        return rate_per_s * (times if any(begin <= now_s < end for begin, end in hot) else 1.0)

    def shape(now_s: float, dice: random.Random) -> Shape:
        return WRITES if dice.random() < _turn_of_day(now_s, span_s) else READS

    return drawn(span_s, rate_per_s * times, rate, shape, seed)


def alternation(
    seed: int, *, span_s: float = 24 * HOUR_S, rate_per_s: float = 1.45, every_s: float = 900.0
) -> Workload:
    """8K/1K and 1K/8K in turns."""
    return phased(
        tuple(
            Phase(every_s, rate_per_s, WRITES if turn % 2 else READS) for turn in range(max(1, int(span_s / every_s)))
        ),
        seed,
    )


def ramp(
    seed: int,
    *,
    span_s: float = 6 * HOUR_S,
    rate_per_s: float = 24.0,
    low_per_s: float = 1.0,
    period_s: float = 900.0,
    given: Shape = Shape((900, 1100), (100, 200)),
) -> Workload:
    """The rate goes from `low_per_s` to `rate_per_s` in `period_s` and back in as much, again and again."""

    def rate(at_s: float) -> float:
        there = at_s / period_s % 2.0
        return low_per_s + (rate_per_s - low_per_s) * (there if there <= 1.0 else 2.0 - there)

    return drawn(span_s, rate_per_s, rate, lambda at_s, dice: given, seed)
