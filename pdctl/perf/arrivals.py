"""When requests are offered: Poisson, constant, bursty, or all at once with so many in flight.

Every draw depends on its seed alone (CPython's Mersenne Twister), so a load is the same on every machine.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from itertools import accumulate

from pdctl.perf.vllm_arrivals import offers_s
from pdctl.perf.workload import Asked, Workload

POISSON = 1.0
CONSTANT = math.inf


def moments_s(requests: int, rate_per_s: float, *, burstiness: float = POISSON, seed: int = 0) -> list[float]:
    """Seconds from the start at which each of `requests` is offered, `rate_per_s` a second on average.

    Gaps are drawn from a gamma distribution of shape `burstiness`, as `vllm bench serve --burstiness` does: 1 is a
    Poisson process (the very moments of that tool with the same `--seed`), less is more bursty, `inf` constant. As
    there, the moments are scaled so that the last is at requests / rate, whatever was drawn. Raises ValueError for a
    rate or burstiness that is not positive.
    """
    if not (rate_per_s > 0 and burstiness > 0):
        raise ValueError("a rate and a burstiness are positive numbers")
    if requests < 1 or math.isinf(rate_per_s):
        return [0.0] * requests
    if burstiness == POISSON:
        return offers_s(requests, rate_per_s, seed)
    if math.isinf(burstiness):
        return [place / rate_per_s for place in range(1, requests + 1)]
    dice = random.Random(seed)
    sums = list(accumulate(dice.gammavariate(burstiness, 1.0) for _ in range(requests)))
    scale = requests / rate_per_s / sums[-1]
    return [moment * scale for moment in sums]


def open_loop(
    requests: int,
    rate_per_s: float,
    isl: int,
    osl: int,
    *,
    burstiness: float = POISSON,
    seed: int = 0,
    concurrency: int | None = None,
) -> Workload:
    """Requests of one shape offered at a rate; `concurrency` holds those back that find so many in flight."""
    return _of_shape(moments_s(requests, rate_per_s, burstiness=burstiness, seed=seed), isl, osl, concurrency)


def closed_loop(requests: int, concurrency: int, isl: int, osl: int) -> Workload:
    """Requests of one shape, all offered at the start: the next is sent when one of `concurrency` has ended."""
    return _of_shape([0.0] * requests, isl, osl, concurrency)


def _of_shape(moments: Iterable[float], isl: int, osl: int, concurrency: int | None) -> Workload:
    return Workload(tuple(Asked(at_s, isl, osl) for at_s in moments), concurrency)
