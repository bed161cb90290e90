"""The Pareto front over what one user gets and what one GPU gives, and what is best under a promise. Pure.

Axes as the llm-d / AMD article has them: TPSU, output tokens a second of a user, and TPSG, output tokens a second of a
GPU. More of both is better.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spot:
    """One deployment at one load. `attainment`: the share of requests that met the targets (None: not judged);
    `measured` False: matched from phases that were measured apart, for what `layout` names (`2p-tp1-1d-tp2`).
    `source`: the rows that it comes from."""

    deployment: str
    load: str
    tpsu: float
    tpsg: float
    attainment: float | None = None
    measured: bool = True
    source: str = ""
    layout: str = ""


def dominates(one: Spot, other: Spot) -> bool:
    """Whether `one` is at least as good in both and better in one."""
    return one.tpsu >= other.tpsu and one.tpsg >= other.tpsg and (one.tpsu, one.tpsg) != (other.tpsu, other.tpsg)


def front(spots: Iterable[Spot]) -> tuple[Spot, ...]:
    """Those that none dominates, by ascending TPSU; of equals all."""
    kept: list[Spot] = []
    best = float("-inf")
    for spot in sorted(spots, key=lambda spot: (-spot.tpsu, -spot.tpsg)):
        if spot.tpsg > best:
            best = spot.tpsg
            kept.append(spot)
        elif kept and (spot.tpsu, spot.tpsg) == (kept[-1].tpsu, kept[-1].tpsg):
            kept.append(spot)
    return tuple(reversed(kept))


@dataclass(frozen=True, slots=True)
class Lead:
    """At a promise of `tpsu` to every user: the best spot that keeps it (None: none does), and the best one of another
    deployment."""

    tpsu: float
    best: Spot | None
    second: Spot | None

    @property
    def gain(self) -> float | None:
        """How much more a GPU gives than with the second, as a share: 0.38 is 38 %."""
        if self.best is None or self.second is None or self.second.tpsg <= 0:
            return None
        return self.best.tpsg / self.second.tpsg - 1


def lead(spots: Sequence[Spot], tpsu: float) -> Lead:
    """Who gives most of a GPU where every user is to get at least `tpsu`. Only what was measured counts: between two
    loads nothing is assumed."""
    fast = sorted((spot for spot in spots if spot.tpsu >= tpsu), key=lambda spot: -spot.tpsg)
    best = fast[0] if fast else None
    second = next((spot for spot in fast if best is not None and spot.deployment != best.deployment), None)
    return Lead(tpsu, best, second)


def best_within(spots: Iterable[Spot], attainment: float) -> tuple[Spot, ...]:
    """Of every deployment the spot with the highest TPSG at which at least `attainment` of the requests met their
    targets; the best deployment first. Those that are not judged are left out."""
    best: dict[str, Spot] = {}
    for spot in spots:
        if spot.attainment is None or spot.attainment < attainment:
            continue
        if spot.deployment not in best or spot.tpsg > best[spot.deployment].tpsg:
            best[spot.deployment] = spot
    return tuple(sorted(best.values(), key=lambda spot: -spot.tpsg))


def telling(leads: Iterable[Lead]) -> tuple[Lead, ...]:
    """Of neighbours with the same best and the same second only the last: it is the most that they promise."""
    found: list[Lead] = []
    for each in leads:
        if found and (found[-1].best, found[-1].second) == (each.best, each.second):
            found.pop()
        found.append(each)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Compared:
    """A measured spot beside the one that was matched for its layout and load."""

    measured: Spot
    expected: Spot

    @property
    def gap(self) -> float:
        """How far the measured TPSG is from the expected one, as a share of that."""
        return self.measured.tpsg / self.expected.tpsg - 1


def compared(spots: Sequence[Spot]) -> tuple[Compared, ...]:
    """Measured spots whose deployment is called after a matched layout, at the same load."""
    expected = [spot for spot in spots if not spot.measured]
    return tuple(
        Compared(spot, other)
        for spot in spots
        if spot.measured
        for other in expected
        if other.load == spot.load and _called(spot.deployment, other.layout)
    )


def _called(deployment: str, layout: str) -> bool:
    """`demo-2p-tp1-1d-tp2` is called after `2p-tp1-1d-tp2`; `demo-12p-tp1-1d-tp2` is not."""
    return deployment == layout or deployment.endswith(f"-{layout}")


def judged(spots: Sequence[Spot]) -> tuple[Spot, ...]:
    """What a front is made of: what was measured, where anything was; else what was matched."""
    return tuple(spot for spot in spots if spot.measured) or tuple(spots)


def marks(spots: Sequence[Spot]) -> tuple[float, ...]:
    """TPSU at which a table of leads is worth its lines: round numbers within what was measured."""
    top = max((spot.tpsu for spot in spots), default=0.0)
    return tuple(mark for mark in (10, 15, 20, 25, 30, 40, 50, 60, 80, 100, 150, 200, 300) if mark <= top)
