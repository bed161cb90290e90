"""Merged tallies of groups of engines. Long windows are merged anew only now and then: they hardly change in a second,
and their figures say how old they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from pdctl.model.snapshot import WINDOWS_S
from pdctl.telemetry.instance import Engine
from pdctl.telemetry.meter import Tally, merge_tallies

REFRESHES: Final = 12
"""A window is merged anew this many times while it passes: 1 min every 5 s. The shortest, at every tick."""


@dataclass(frozen=True, slots=True)
class Dated:
    """A tally, and how old its youngest datum is now."""

    tally: Tally
    age_s: float


@dataclass(frozen=True, slots=True)
class _Built:
    at_s: float
    dated: Dated
    engines: tuple[tuple[str, int], ...]


@dataclass(slots=True)
class GroupTallies:
    """The merged tallies of each group (a pool), by window."""

    _built: dict[tuple[str, int], _Built] = field(default_factory=dict)

    def of(self, group: str, engines: Sequence[Engine], now_s: float) -> dict[int, Dated]:
        """Of these engines, all of them fresh. A window without two scrapes of anybody is left out."""
        who = tuple((engine.expected.name, engine.expected.generation) for engine in engines)
        found: dict[int, Dated] = {}
        last: tuple[list[Tally], Tally | None] = ([], None)
        for window_s in WINDOWS_S:
            key = (group, window_s)
            built = self._built.get(key)
            lasts_s = 0.0 if window_s == WINDOWS_S[0] else window_s / REFRESHES
            if built is not None and built.engines == who and now_s - built.at_s < lasts_s:
                found[window_s] = Dated(built.dated.tally, built.dated.age_s + now_s - built.at_s)
                continue
            tallies = [tally for engine in engines if (tally := engine.tally(window_s)) is not None]
            if list(map(id, tallies)) != list(map(id, last[0])):  # windows that begin at the same scrapes are one
                last = (tallies, merge_tallies(tallies))
            merged = last[1]
            if merged is None:
                self._built.pop(key, None)
                continue
            found[window_s] = Dated(merged, max(engine.age_s(now_s) or 0.0 for engine in engines))
            # In the first minutes a long window still grows with every scrape.
            if merged.elapsed_s >= window_s / 2:
                self._built[key] = _Built(now_s, found[window_s], who)
        return found
