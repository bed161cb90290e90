"""A figure that operators read: an interval, its age, and how it is known. What is not known is `Unknown`, with why."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from pdctl.model.reading import Unknown


class Basis(StrEnum):
    """How a figure is known: MEASURED as the source says it, DERIVED by arithmetic on measured ones, ESTIMATED under an
    assumption that `note` names, CANARY by a request of our own."""

    MEASURED = "measured"
    DERIVED = "derived"
    ESTIMATED = "estimated"
    CANARY = "canary"


@dataclass(frozen=True, slots=True)
class Figure:
    """The truth lies in [low, high]; equal ends are exact, `high` inf has no upper bound (a histogram's last bucket).

    `age_s`: how old the youngest datum in it was when the snapshot was taken. `note`: what else must be said of it.
    """

    low: float
    high: float
    age_s: float
    basis: Basis = Basis.MEASURED
    note: str = ""

    @classmethod
    def exact(cls, value: float, age_s: float, basis: Basis = Basis.MEASURED, note: str = "") -> Figure:
        """A figure without width."""
        return cls(value, value, age_s, basis, note)

    @property
    def middle(self) -> float:
        """One number for charts and sorting: the middle, or the lower end where there is no upper one."""
        return self.low if math.isinf(self.high) else (self.low + self.high) / 2


Fig: TypeAlias = Figure | Unknown
"""A figure, or why there is none. Unknown is never 0."""


@dataclass(frozen=True, slots=True)
class Latency:
    """A latency in seconds over one window. `count`: how many events it rests on; with none, all are Unknown.

    The mean is exact (sum over count); quantiles are intervals between the histogram's bucket bounds.
    """

    count: Fig
    mean: Fig
    p50: Fig
    p90: Fig
    p99: Fig

    @classmethod
    def unknown(cls, reason: str, source: str = "") -> Latency:
        """Nothing is known of it, for one reason."""
        why = Unknown(reason, source)
        return cls(why, why, why, why, why)
