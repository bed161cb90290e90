"""What `pdctl advise fit --published` found, for its text and its JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pdctl.perf.calibrate import Fit
from pdctl.perf.published_fit import LeftOut
from pdctl.perf.published_mori import Attained, MoriFit
from pdctl.perf.published_r1 import Said
from pdctl.perf.published_score import Check


@dataclass(frozen=True, slots=True)
class Refits:
    """What the fits land on when they begin anew. `without`: by the scenario that was left out; `mori_left_out`: every
    attainment as the other nine tell it."""

    r1: Fit
    without: Mapping[str, Fit]
    mori: MoriFit
    mori_left_out: tuple[Attained, ...]


@dataclass(frozen=True, slots=True)
class Published:
    """Every row as the built-in constants say it. `refits` is None where none was asked for."""

    said: tuple[Said, ...]
    left_out: tuple[LeftOut, ...]
    attained: tuple[Attained, ...]
    checks: tuple[Check, ...]
    refits: Refits | None
