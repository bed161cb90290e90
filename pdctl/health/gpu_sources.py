"""One figure from several sources: sysfs first, amd-smi second, rocm-smi third; that they disagree is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pdctl.model.reading import Known, Reading, Unknown

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Disagreement:
    """What sources say differently of one thing of one GPU. `said`: (source, what it says), best source first."""

    what: str
    said: tuple[tuple[str, str], ...]


def first(*readings: Reading[T]) -> Reading[T]:
    """The first that is known; else an Unknown with every source's reason."""
    for reading in readings:
        if isinstance(reading, Known):
            return reading
    reasons = [reading.reason for reading in readings if isinstance(reading, Unknown)]
    sources = [reading.source for reading in readings if isinstance(reading, Unknown) and reading.source]
    return Unknown("; ".join(dict.fromkeys(reasons)) or "no source speaks of it", sources[0] if sources else "")


def worst(*readings: Reading[int]) -> Reading[int]:
    """Of counts of faults the highest: what one source has seen has happened, whatever another one says."""
    known = [reading for reading in readings if isinstance(reading, Known)]
    return max(known, key=lambda reading: reading.value) if known else first(*readings)


def compared(
    what: str, *readings: Reading[T], same: Callable[[T, T], bool] = lambda one, other: one == other
) -> tuple[Disagreement, ...]:
    """A disagreement where a source differs from the best one that is known."""
    known = [reading for reading in readings if isinstance(reading, Known)]
    if all(same(known[0].value, other.value) for other in known[1:]):
        return ()
    return (Disagreement(what, tuple((reading.source, str(reading.value)) for reading in known)),)


def about(one: float, other: float) -> bool:
    """Equal but for rounding: amd-smi cuts sizes to whole MiB."""
    return abs(one - other) <= 0.01 * max(abs(one), abs(other))
