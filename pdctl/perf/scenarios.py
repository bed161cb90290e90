"""Named scenarios: the shapes and loads that the published measurements were made with.

Moreh's report (DeepSeek R1 on MI300X): `1k/1k 1k/8k 8k/1k 8k/8k`, twice as many requests as the concurrency, with a
rate for each concurrency, both in force (its durations agree with that). `mori`, the MORI-IO article: 2000/1000, 100
requests at 0.5 to 10 a second, TTFT 1 s and ITL 50 ms (a request's own 99th percentile reproduces its attainments).
`llmd`, AMD and llm-d: 4096/256 over concurrencies; their sweep sizes each point for 60 s and no fewer than 100
requests, which here is 100 or four times the concurrency. Any other shape is `ISL/OSL`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from pdctl.errors import UsageError
from pdctl.model.deployment import Slo
from pdctl.perf.load import Load
from pdctl.perf.published import r1_rows
from pdctl.perf.workload import Workload

MORI_RATES = tuple(step / 2 for step in range(1, 21))
LLMD_CONCURRENCIES = (4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 192, 256, 384, 512)
_SHAPE = re.compile(r"(\d+)(k?)[/-](\d+)(k?)")


@dataclass(frozen=True, slots=True)
class Scenario:
    """Requests of one shape under several loads. `slo` and `judged_by`: the targets that its source judges by."""

    name: str
    isl: int
    osl: int
    loads: tuple[Load, ...] = ()
    slo: Slo | None = None
    judged_by: Literal["p99-itl", "tpot"] = "p99-itl"

    def under(self, loads: Iterable[Load]) -> Scenario:
        """The same shape under other loads."""
        return replace(self, loads=tuple(loads))

    def expand(self, *, seed: int = 0) -> dict[str, Workload]:
        """The workload of each load, by the load's name."""
        return {load.name: load.workload(self.isl, self.osl, seed=seed) for load in self.loads}


def scenario(name: str) -> Scenario:
    """The scenario of that name in any case, or one of shape `ISL/OSL` (`k`: 1024 tokens) with no loads yet.

    Raises UsageError where it is neither.
    """
    wanted = name.strip().lower()
    make = _NAMED.get(wanted.replace("-", "/"))
    if make is not None:
        return make()
    found = _SHAPE.fullmatch(wanted)
    isl, osl = (_tokens(found[1], found[2]), _tokens(found[3], found[4])) if found else (0, 0)
    if min(isl, osl) < 1:
        raise UsageError(
            f"no scenario {name.strip()!r}", hint=f"one of {', '.join(NAMES)}, or ISL/OSL in tokens such as 4096/256"
        )
    return Scenario(wanted.replace("-", "/"), isl, osl)


def _tokens(digits: str, kilo: str) -> int:
    return int(digits) * (1024 if kilo else 1)


def _moreh(name: str) -> Scenario:
    rows = [row for row in r1_rows() if row.scenario.lower() == name]
    loads = {row.concurrency: Load(row.requests, row.concurrency, row.rate_per_s) for row in rows}
    return Scenario(name, rows[0].isl, rows[0].osl, tuple(loads[concurrency] for concurrency in sorted(loads)))


def _mori() -> Scenario:
    loads = tuple(Load(100, rate_per_s=rate) for rate in MORI_RATES)
    return Scenario("mori", 2000, 1000, loads, Slo(ttft_s=1.0, itl_s=0.050, attainment=0.90))


def _llmd() -> Scenario:
    loads = tuple(Load(max(100, 4 * concurrency), concurrency) for concurrency in LLMD_CONCURRENCIES)
    return Scenario("llmd", 4096, 256, loads)


def _named(name: str) -> Callable[[], Scenario]:
    return lambda: _moreh(name)


_NAMED: Mapping[str, Callable[[], Scenario]] = {
    **{name: _named(name) for name in ("1k/1k", "1k/8k", "8k/1k", "8k/8k")},
    "mori": _mori,
    "llmd": _llmd,
}
NAMES = tuple(_NAMED)
