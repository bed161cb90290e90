"""What is offered: requests with their lengths, when each may be sent at the earliest, and how many at once."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: seconds from the start at which it is offered, prompt tokens and output tokens.

    The first `prefix_len` tokens of the prompt are the same in all requests of one `prefix_id`.
    """

    at_s: float
    isl: int
    osl: int
    prefix_id: int | None = None
    prefix_len: int = 0

    def __post_init__(self) -> None:
        if self.isl < 1 or self.osl < 1:
            raise ValueError("a request has at least one token in and one out")
        if not 0 <= self.prefix_len <= self.isl:
            raise ValueError("a prefix is a part of its prompt")


@dataclass(frozen=True, slots=True)
class Workload:
    """Requests in the order of their offers. `concurrency`: so many in flight at most; what waits is sent in order and
    its latencies count from when it was sent, as `vllm bench serve --max-concurrency` does. None: no limit."""

    asked: Sequence[Asked]
    concurrency: int | None = None

    @property
    def span_s(self) -> float:
        """From the first offer to the last."""
        return self.asked[-1].at_s - self.asked[0].at_s if self.asked else 0.0


def poisson(
    requests: int, rate_per_s: float, isl: int, osl: int, *, seed: int = 0, concurrency: int | None = None
) -> Workload:
    """Requests of one shape with exponential gaps between offers, as `vllm bench serve --request-rate` draws them."""
    dice = random.Random(seed)
    at_s, asked = 0.0, []
    for _ in range(requests):
        asked.append(Asked(at_s, isl, osl))
        at_s += dice.expovariate(rate_per_s)
    return Workload(tuple(asked), concurrency)
