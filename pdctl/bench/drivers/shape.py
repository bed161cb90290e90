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
class Shape:
    """Requests that are all alike. `rate_per_s` is None where all are offered at once."""

    requests: int
    isl: int
    osl: int
    prefix_len: int
    arrival: Arrival
    rate_per_s: float | None
    concurrency: int | None


def shape(workload: Workload, tool: str) -> Shape:
    """Raises BenchError, with the reason, for a workload that `tool` cannot be told in these words.

    A process is told by the coefficient of variation of its gaps: 0 constant, 1 Poisson, within what a hundred samples
    leave of it.
    """
    asked = workload.asked
    if not asked:
        raise _cannot(tool, "there is no request in it")
    if len({(item.isl, item.osl) for item in asked}) > 1:
        raise _cannot(tool, "its requests differ in length")
    prefixes = {(item.prefix_id, item.prefix_len) for item in asked if item.prefix_len}
    if len(prefixes) > 1 or (prefixes and any(not item.prefix_len for item in asked)):
        raise _cannot(tool, "its requests have different prefixes")
    gaps_s = [later.at_s - earlier.at_s for earlier, later in itertools.pairwise(asked)]
    first, span_s = asked[0], workload.span_s
    arrival = _arrival(gaps_s, span_s)
    if arrival is None:
        raise _cannot(tool, "its arrivals are neither constant nor Poisson")
    rate_per_s = None if arrival is Arrival.AT_ONCE else len(gaps_s) / span_s
    return Shape(len(asked), first.isl, first.osl, first.prefix_len, arrival, rate_per_s, workload.concurrency)


def _arrival(gaps_s: list[float], span_s: float) -> Arrival | None:
    if span_s <= 0.0:
        return Arrival.AT_ONCE
    variation = statistics.pstdev(gaps_s) / statistics.fmean(gaps_s)
    if variation < _CONSTANT_BELOW:
        return Arrival.CONSTANT
    return Arrival.POISSON if _POISSON_AT_LEAST <= variation <= _POISSON_AT_MOST else None


def _cannot(tool: str, why: str) -> BenchError:
    return BenchError(f"{tool} cannot play this workload: {why}", hint="`--driver builtin` plays all of them")
