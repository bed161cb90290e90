"""How much of a scenario is offered: so many requests, at a rate, with so many in flight at most, or both."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pdctl.errors import UsageError
from pdctl.perf.arrivals import POISSON, closed_loop, open_loop
from pdctl.perf.workload import Workload


@dataclass(frozen=True, slots=True)
class Load:
    """`rate_per_s` None: a closed loop of `concurrency`. Both: requests come at the rate, and those that find so many
    in flight wait for a place, as with `vllm bench serve --request-rate R --max-concurrency C`.

    Raises UsageError where the figures make no load.
    """

    requests: int
    concurrency: int | None = None
    rate_per_s: float | None = None
    burstiness: float = POISSON

    def __post_init__(self) -> None:
        if self.concurrency is None and self.rate_per_s is None:
            raise UsageError("a load needs a concurrency, a rate, or both", hint="give --concurrency or --rate")
        if self.requests < 1 or (self.concurrency is not None and self.concurrency < 1):
            raise UsageError("a load has at least one request, and at least one at once")
        if self.rate_per_s is not None and not 0 < self.rate_per_s < math.inf:
            raise UsageError(f"no rate above 0: {self.rate_per_s:g}", hint="for no limit give --concurrency alone")
        if not self.burstiness > 0:
            raise UsageError(f"no burstiness above 0: {self.burstiness:g}", hint="1 is Poisson, inf constant gaps")

    @property
    def name(self) -> str:
        """`c320` (concurrency), `r5` (requests a second), `c320-r3` (both), `r5-b0.5` (bursty)."""
        parts = []
        if self.concurrency is not None:
            parts.append(f"c{self.concurrency}")
        if self.rate_per_s is not None:
            parts.append(f"r{self.rate_per_s:g}")
            if self.burstiness != POISSON:
                parts.append(f"b{self.burstiness:g}")
        return "-".join(parts)

    def workload(self, isl: int, osl: int, *, seed: int = 0) -> Workload:
        """The load as requests of one shape."""
        if self.rate_per_s is None:
            return closed_loop(self.requests, self.concurrency or 1, isl, osl)
        return open_loop(
            self.requests,
            self.rate_per_s,
            isl,
            osl,
            burstiness=self.burstiness,
            seed=seed,
            concurrency=self.concurrency,
        )
