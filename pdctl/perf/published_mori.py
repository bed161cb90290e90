"""The MORI-IO article's attainments against the model, and the fit to them.

An attainment counts requests within two targets, so it changes in steps of 1 of 100: it is fitted by a search without
derivatives, and errors are counted in requests of 100.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from pdctl.model.deployment import Slo
from pdctl.perf.calibrate import standard_errors
from pdctl.perf.minimize import minimize
from pdctl.perf.outcome import attained
from pdctl.perf.published import MoriRow, mori_layout, mori_load, mori_rows
from pdctl.perf.simulate import simulate
from pdctl.perf.step_time import StepConstants

SLO = Slo(ttft_s=1.0, itl_s=0.05, attainment=1.0)

FREE = ("decode_s", "decode_per_seq_s", "prefill_s", "prefill_per_token_s", "proxy_s")
START = (
    StepConstants(16e-3, 0.2e-3, 0.0, 16e-3, 58e-6, 0.0, 0.0),
    7e-3,
)
"""Where the fit begins: constants and the proxy's share of a leg."""


@dataclass(frozen=True, slots=True)
class Attained:
    """What the model says of one point; `off` in requests of 100, signed."""

    row: MoriRow
    said: float

    @property
    def off(self) -> float:
        return 100 * (self.said - self.row.attained)


def say_attained(
    constants: StepConstants, proxy_s: float, rows: Sequence[MoriRow] | None = None
) -> tuple[Attained, ...]:
    """Every point. Nothing is drawn: arrivals are the tool's, turns are taken, and an instance is one rank."""
    return tuple(
        Attained(row, attained(simulate(mori_layout(row, constants, proxy_s), mori_load(row)), SLO))
        for row in (mori_rows() if rows is None else rows)
    )


@dataclass(frozen=True, slots=True)
class MoriFit:
    """`loss`: the sum of squared misses, in requests of 100. `factors`: by what factor each of FREE may be off."""

    constants: StepConstants
    proxy_s: float
    loss: float
    factors: Mapping[str, float]


def fit_mori(
    rows: Sequence[MoriRow] | None = None, *, iterations: int = 90, on_try: Callable[[float], None] = lambda loss: None
) -> MoriFit:
    """The constants with the least sum of squared misses, from START. `on_try` hears of every sum."""
    points = mori_rows() if rows is None else rows
    start, proxy_s = START

    def given(point: Sequence[float]) -> tuple[StepConstants, float]:
        values = [math.exp(value) for value in point]
        return replace(start, **dict(zip(FREE[:-1], values[:-1], strict=True))), values[-1]

    def loss(point: Sequence[float]) -> float:
        found = sum(each.off**2 for each in say_attained(*given(point), points))
        on_try(found)
        return found

    begin = [math.log(getattr(start, name)) for name in FREE[:-1]] + [math.log(proxy_s)]
    best = minimize(loss, begin, [0.1] * len(begin), iterations=iterations)
    constants, proxy = given(best)
    errors = standard_errors(
        [each.off for each in say_attained(constants, proxy, points)],
        [_bend(lambda point: [each.off for each in say_attained(*given(point), points)], best, at) for at in range(5)],
    )
    factors = {name: math.exp(one) if one < 50 else math.inf for name, one in zip(FREE, errors, strict=True)}
    return MoriFit(constants, proxy, loss(best), factors)


def say_left_out(on_try: Callable[[float], None] = lambda loss: None) -> tuple[Attained, ...]:
    """Every point, as constants say it that were fitted on the other nine."""
    found: list[Attained] = []
    for left in mori_rows():
        one = fit_mori([row for row in mori_rows() if row != left], on_try=on_try)
        found.extend(say_attained(one.constants, one.proxy_s, [left]))
    return tuple(found)


def _bend(misses: Callable[[Sequence[float]], Sequence[float]], best: Sequence[float], place: int) -> list[float]:
    """How every miss changes with one constant's logarithm, over a tenth either way."""
    up, down = (misses([value + (by if at == place else 0.0) for at, value in enumerate(best)]) for by in (0.1, -0.1))
    return [(one - other) / 0.2 for one, other in zip(up, down, strict=True)]
