"""How well a fleet followed a mix that moves: reversals, settle time, share of the time on the right split. Pure.

As Narwhal's tools score a walk (`report.py`, `score_walk.py`): a reversal is an engine flipped one way and then the
other, whenever that was; settling is measured from the start of a phase to the first moment on its split, not to the
first flip; never settled is not settled at once. Times are weighed here, where those tools count samples.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pdctl.perf.walk import Station

_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Moved:
    """One engine (or slot) that left its role for another at `at_s`. `in_flight`: requests that it held then; None:
    not known."""

    at_s: float
    engine: str
    to: str
    in_flight: int | None = None


@dataclass(frozen=True, slots=True)
class Stay:
    """How one station was kept. `settled_s`: from its start to the first moment on it (0: was there; None: never)."""

    station: Station
    settled_s: float | None
    on_station: float


@dataclass(frozen=True, slots=True)
class Following:
    """`on_station`: share of all the time on the right split. `settled_s`: median of the stations that were reached;
    `never`: how many were not. `in_flight`: requests held by engines as they moved, together; None: not known."""

    moves: int
    reversals: int
    reversals_per_hour: float
    in_flight: int | None
    on_station: float
    settled_s: float | None
    never: int
    stays: tuple[Stay, ...]


def following(
    splits: Sequence[tuple[float, tuple[int, int]]], moves: Iterable[Moved], stations: Sequence[Station]
) -> Following:
    """`splits`: (from when in seconds, (prefill, decode) engines), in the order of time; each holds until the next."""
    made = sorted(moves, key=lambda move: move.at_s)
    stays = tuple(_stay(splits, station) for station in stations)
    span_s = sum(stay.station.end_s - stay.station.begin_s for stay in stays)
    right_s = sum(stay.on_station * (stay.station.end_s - stay.station.begin_s) for stay in stays)
    settled = [stay.settled_s for stay in stays if stay.settled_s is not None]
    held = [move.in_flight for move in made if move.in_flight is not None]
    back = reversals(made)
    return Following(
        moves=len(made),
        reversals=back,
        reversals_per_hour=back * _HOUR_S / span_s if span_s > 0 else 0.0,
        in_flight=sum(held) if held or not made else None,
        on_station=right_s / span_s if span_s > 0 else 0.0,
        settled_s=statistics.median(settled) if settled else None,
        never=len(stays) - len(settled),
        stays=stays,
    )


def reversals(moves: Iterable[Moved]) -> int:
    """Moves, in the order of time, by which an engine went elsewhere than its last move had sent it."""
    last: dict[str, str] = {}
    count = 0
    for move in moves:
        count += last.get(move.engine, move.to) != move.to
        last[move.engine] = move.to
    return count


def _stay(splits: Sequence[tuple[float, tuple[int, int]]], station: Station) -> Stay:
    """The stretches of the station's split that lie within it."""
    wanted = (station.prefill, station.decode)
    ends = [begin_s for begin_s, _ in splits[1:]] + [station.end_s]
    settled_s: float | None = None
    right_s = 0.0
    for (begin_s, split), end_s in zip(splits, ends, strict=True) if splits else ():
        low_s, high_s = max(begin_s, station.begin_s), min(end_s, station.end_s)
        if split != wanted or high_s <= low_s:
            continue
        right_s += high_s - low_s
        settled_s = low_s - station.begin_s if settled_s is None else settled_s
    return Stay(station, settled_s, right_s / (station.end_s - station.begin_s))
