"""The topology walk of Narwhal's evaluation: the best split of six engines moves by one engine from phase to phase.

Output length and rate together decide which split is right; prompts stay the same. That peer ran it on six engines of
MI355X with phases of 1,200 s and the seeds 7 and 11, judged by TTFT 15 s and a mean TPOT of 60 ms.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from pdctl.errors import UsageError
from pdctl.model.deployment import Slo
from pdctl.perf.segments import Segment, parse_segments, segment_load
from pdctl.perf.workload import Workload

ENGINES = 6
PHASE_S = 1200.0
SEEDS = (7, 11)
SLO = Slo(ttft_s=15.0, itl_s=0.060, attainment=0.90)
"""`itl_s` is a target of mean TPOT there."""
ORDER = (4, 5, 4, 3, 2, 1, 2, 3)
"""Prefill engines of the right split, phase by phase."""
_ISL = (12000, 16000)
_SHAPES: Mapping[int, tuple[tuple[int, int], float]] = {
    5: ((1, 4), 3.8),
    4: ((20, 40), 3.0),
    3: ((60, 100), 2.0),
    2: ((120, 180), 1.2),
    1: ((350, 450), 0.6),
}
"""By prefill engines: tokens out, requests a second."""


@dataclass(frozen=True, slots=True)
class Station:
    """One phase: from and until when `prefill` prefill and `decode` decode engines are the right split."""

    begin_s: float
    end_s: float
    prefill: int
    decode: int


def segments_of(text: str) -> tuple[Segment, ...]:
    """`walk`, `walk:300` (with phases of 300 s), or segments written out. Raises UsageError."""
    name, colon, phase_s = text.strip().partition(":")
    if name != "walk":
        return parse_segments(text)
    try:
        seconds = float(phase_s) if colon else PHASE_S
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise UsageError(f"{text.strip()}: no length of a phase", hint="walk:300 has phases of 300 s")
    return walk_segments(seconds)


def walk_segments(phase_s: float = PHASE_S) -> tuple[Segment, ...]:
    """The eight phases; `mult` is requests a second."""
    return tuple(Segment(phase_s, _ISL, *_SHAPES[prefill]) for prefill in ORDER)


def walk(scale: float = 1.0, *, phase_s: float = PHASE_S, seed: int = SEEDS[0]) -> Workload:
    """What the walk offers, at `scale` times its rates."""
    return segment_load(walk_segments(phase_s), scale, seed=seed)


def stations(phase_s: float = PHASE_S) -> tuple[Station, ...]:
    """The right split of every phase."""
    bounds = pairwise(place * phase_s for place in range(len(ORDER) + 1))
    return tuple(
        Station(begin_s, end_s, prefill, ENGINES - prefill)
        for (begin_s, end_s), prefill in zip(bounds, ORDER, strict=True)
    )
