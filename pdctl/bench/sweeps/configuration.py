"""What a sweep measures: one instance of each width, at each concurrency. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pdctl.bench.point import Point
from pdctl.bench.sizing.points import Phase, Width
from pdctl.perf.workload import Asked, Workload

PER_USER = 4
LEAST = 32
"""Requests of a point where nobody said how many: `PER_USER` for each in flight, at least `LEAST`."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """One instance that does one phase."""

    phase: Phase
    width: Width

    @property
    def name(self) -> str:
        """`prefill-tp2`: the name of its pool, of its deployment in points, and of its run's directory."""
        return f"{self.phase}-{self.width.label}"


@dataclass(frozen=True, slots=True)
class Offer:
    """What each configuration is asked. `requests` None: by the concurrency. Token ids are drawn below `vocab`."""

    isl: int
    osl: int
    concurrencies: tuple[int, ...]
    requests: int | None = None
    seeds: tuple[int, ...] = (0,)
    deadline_s: float = 1800.0
    vocab: int = 1000

    def points(self, configuration: Configuration) -> tuple[Point, ...]:
        """Closed loops. Prefill alone is a request for one token: the engine is then done with it."""
        osl = 1 if configuration.phase is Phase.PREFILL else self.osl
        return tuple(
            Point(
                configuration.name,
                f"{self.isl}-{osl}",
                f"c{users}",
                seed,
                Workload((Asked(0.0, self.isl, osl),) * (self.requests or max(LEAST, PER_USER * users)), users),
                self.deadline_s,
            )
            for users in self.concurrencies
            for seed in self.seeds
        )


def next_batch(
    waiting: Sequence[Configuration], gpus: int, budget: int | None
) -> tuple[tuple[Configuration, ...], int]:
    """First fit over the whole queue: what of `waiting`, in its order, finds room on a node of `gpus` and within
    `budget` GPUs (None: no limit); and how many GPUs that takes."""
    room = gpus if budget is None else min(gpus, budget)
    taken: list[Configuration] = []
    for configuration in waiting:
        if configuration.width.gpus <= room:
            taken.append(configuration)
            room -= configuration.width.gpus
    return tuple(taken), sum(each.width.gpus for each in taken)


def configurations(phase: Phase, tps: Sequence[int], dps: Sequence[int]) -> Iterator[Configuration]:
    """Every TP with every DP, each width once, the widest first: they are the hardest to find room for."""
    widths = {Width(tp * dp, tp, dp) for tp in tps for dp in dps}
    return (Configuration(phase, width) for width in sorted(widths, reverse=True))
