"""Seeded segments: a workload whose shape and rate change in steps, written `dur:isl_lo-isl_hi:osl_lo-osl_hi:mult,…`.

The notation and the draws are those of Narwhal's tools (`narwhal-bench --segments`, its `trace.py`): within a segment
of `dur` seconds requests come with gaps of `expovariate(rate * mult)`, and after each arrival its lengths are drawn,
both bounds included, from the same generator. So one seed gives the requests that those tools give.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pdctl.errors import UsageError
from pdctl.perf.workload import Asked, Workload

_FORM = "dur:isl_lo-isl_hi:osl_lo-osl_hi:mult"
_RANGE = re.compile(r"\s*(\d+)\s*-\s*(\d+)\s*")


@dataclass(frozen=True, slots=True)
class Segment:
    """`mult` times the rate of the run, for `duration_s` seconds; 0 is a pause. Lengths are tokens, bounds included."""

    duration_s: float
    isl: tuple[int, int]
    osl: tuple[int, int]
    mult: float

    def __str__(self) -> str:
        isl, osl = ("-".join(map(str, bounds)) for bounds in (self.isl, self.osl))
        return f"{self.duration_s:g}:{isl}:{osl}:{self.mult:g}"


def parse_segments(text: str) -> tuple[Segment, ...]:
    """The segments of `text`, separated by commas. Raises UsageError that names everything wrong with any of them."""
    parts = [part.strip() for part in text.split(",")]
    read = [_segment(number, part) for number, part in enumerate(parts, 1) if part]
    problems = tuple(problem for _, found in read for problem in found)
    if not read:
        raise UsageError("no segments", hint=f"write {_FORM}, with commas between segments")
    if problems:
        raise UsageError(
            f"{len(problems)} mistakes in the segments" if len(problems) > 1 else problems[0],
            problems=problems if len(problems) > 1 else (),
            hint=f"a segment is {_FORM}: seconds, tokens in, tokens out, times the rate",
        )
    return tuple(segment for segment, _ in read if segment is not None)


def segment_load(
    segments: Sequence[Segment], rate_per_s: float = 1.0, *, seed: int = 0, concurrency: int | None = None
) -> Workload:
    """What `segments` offer at `rate_per_s` times each one's `mult`. Raises UsageError for a rate that is none."""
    if not 0 < rate_per_s < math.inf:
        raise UsageError(f"segments at {rate_per_s:g} requests a second", hint="a rate is above 0 and finite")
    dice = random.Random(seed)
    return Workload(tuple(_draw(segments, rate_per_s, dice)), concurrency)


def _draw(segments: Sequence[Segment], rate_per_s: float, dice: random.Random) -> Iterator[Asked]:
    begin_s = 0.0
    for segment in segments:
        end_s = begin_s + segment.duration_s
        at_s, rate = begin_s, rate_per_s * segment.mult
        while rate > 0:
            at_s += dice.expovariate(rate)
            if at_s >= end_s:
                break
            yield Asked(at_s, dice.randint(*segment.isl), dice.randint(*segment.osl))
        begin_s = end_s


def _segment(number: int, part: str) -> tuple[Segment | None, list[str]]:
    """The segment, or what is wrong with it."""
    at = f"segment {number} ({part[:60]})"
    fields = part.split(":")
    if len(fields) != 4:
        return None, [f"{at}: not of the form {_FORM}"]
    problems: list[str] = []
    duration_s = _number(fields[0], f"{at}: seconds", problems, above=0.0)
    isl = _bounds(fields[1], f"{at}: tokens in", problems)
    osl = _bounds(fields[2], f"{at}: tokens out", problems)
    mult = _number(fields[3], f"{at}: multiple of the rate", problems)
    return (None if problems else Segment(duration_s, isl, osl, mult)), problems


def _number(text: str, what: str, problems: list[str], *, above: float | None = None) -> float:
    try:
        value = float(text)
    except ValueError:
        problems.append(f"{what}: {text.strip()!r} is no number")
        return 0.0
    if not math.isfinite(value) or value < 0 or (above is not None and value <= above):
        problems.append(f"{what}: {text.strip()} is no {'number above 0' if above is not None else 'number from 0 on'}")
    return value


def _bounds(text: str, what: str, problems: list[str]) -> tuple[int, int]:
    found = _RANGE.fullmatch(text)
    if found is None:
        problems.append(f"{what}: {text.strip()!r} is not lo-hi")
        return (1, 1)
    low, high = int(found[1]), int(found[2])
    if not 1 <= low <= high:
        problems.append(f"{what}: {text.strip()} is not 1 <= lo <= hi")
    return (low, high)
