"""What kind of load a workload is, for tools that are told kinds and not requests. Pure."""

from __future__ import annotations

import itertools
import statistics
from dataclasses import dataclass
from enum import StrEnum

from pdctl.errors import BenchError
from pdctl.perf.workload import Workload

_CONSTANT_BELOW = 0.01
_POISSON_AT_LEAST, _POISSON_AT_MOST = 0.6, 1.5


class Arrival(StrEnum):
    """How the offers lie in time."""

    AT_ONCE = "at once"
    CONSTANT = "constant"
    POISSON = "poisson"


@dataclass(frozen=True, slots=True)
class Arrivals:
    """`rate_per_s` is None where all are offered at once."""

    arrival: Arrival
    rate_per_s: float | None


@dataclass(frozen=True, slots=True)
class Shape:
    """Requests that are all alike."""

    requests: int
    isl: int
    osl: int
    prefix_len: int


def shape(workload: Workload, tool: str) -> Shape:
    """Raises BenchError, with the reason, for requests that `tool` cannot be told by one of them and their number."""
    asked = workload.asked
    if not asked:
        raise _cannot(tool, "there is no request in it")
    if len({(item.isl, item.osl) for item in asked}) > 1:
        raise _cannot(tool, "its requests differ in length")
    prefixes = {(item.prefix_id, item.prefix_len) for item in asked}
    if len(prefixes) > 1:
        raise _cannot(tool, "its requests have different prefixes")
    return Shape(len(asked), asked[0].isl, asked[0].osl, asked[0].prefix_len)


def arrivals(workload: Workload, tool: str) -> Arrivals:
    """Raises BenchError for moments that are neither constant nor Poisson. They are told by the coefficient of
    variation of their gaps: 0 or 1, within what a hundred samples leave of it."""
    gaps_s = [later.at_s - earlier.at_s for earlier, later in itertools.pairwise(workload.asked)]
    if workload.span_s <= 0.0:
        return Arrivals(Arrival.AT_ONCE, None)
    rate_per_s = len(gaps_s) / workload.span_s
    variation = statistics.pstdev(gaps_s) * rate_per_s
    if variation < _CONSTANT_BELOW:
        return Arrivals(Arrival.CONSTANT, rate_per_s)
    if _POISSON_AT_LEAST <= variation <= _POISSON_AT_MOST:
        return Arrivals(Arrival.POISSON, rate_per_s)
    raise _cannot(tool, "its arrivals are neither constant nor Poisson")


def _cannot(tool: str, why: str) -> BenchError:
    return BenchError(f"{tool} cannot play this workload: {why}", hint="`--driver builtin` plays all of them")
