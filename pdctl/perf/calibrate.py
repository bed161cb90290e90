"""Fit the step equation's constants to measured runs: which constants make the simulation say what was measured.

Constants are fitted as logarithms, so that none turns negative; residuals are logarithms of ratios, so that seconds and
tokens per second weigh alike. Error bars come from how the residuals bend at the optimum (Gauss-Newton), and are wide
where the runs say little of a constant; of one that changes nothing they say nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from pdctl.perf.least_squares import inverse, least_squares
from pdctl.perf.step_time import StepConstants

Residuals = Callable[[StepConstants], Sequence[float]]
"""log(simulated / measured) of every figure that is fitted to."""

DEAF = 1e-3
"""A constant whose change by a factor of e moves no figure by as much as 0.1 % is not told by them."""


@dataclass(frozen=True, slots=True)
class Fit:
    """The constants, and of each that was free by what factor it may be off (one standard error; inf: not told)."""

    constants: StepConstants
    factors: Mapping[str, float]
    rms: float
    figures: int

    @property
    def untold(self) -> tuple[str, ...]:
        """Constants of which the runs say nothing: they are what they were before."""
        return tuple(name for name, factor in self.factors.items() if math.isinf(factor))


def fit(
    residuals: Residuals,
    start: StepConstants,
    free: Sequence[str],
    *,
    rounds: int = 10,
    on_round: Callable[[int, float], None] = lambda done, rms: None,
) -> Fit:
    """Constants near `start` with the least sum of squared residuals; those not in `free` stay.

    `on_round` hears of each round's number and root mean square. Raises ValueError for a free constant that starts at
    0: its logarithm has no beginning.
    """
    if any(getattr(start, name) <= 0 for name in free):
        raise ValueError("a constant that is fitted starts above 0")

    def constants(point: Sequence[float]) -> StepConstants:
        return replace(start, **{name: math.exp(value) for name, value in zip(free, point, strict=True)})

    begin = [math.log(getattr(start, name)) for name in free]
    figures = len(residuals(start))
    solved = least_squares(
        lambda point: residuals(constants(point)),
        begin,
        rounds=rounds,
        on_round=lambda done, loss: on_round(done, math.sqrt(loss / figures)),
    )
    spread = standard_errors(solved.residuals, solved.jacobian)
    factors = {name: math.exp(one) if one < 50 else math.inf for name, one in zip(free, spread, strict=True)}
    return Fit(constants(solved.point), factors, math.sqrt(solved.loss / figures), figures)


REPEATS = 0.01
"""No measured figure repeats within less than 1 %: residuals that are smaller do not make constants surer."""


def standard_errors(residuals: Sequence[float], jacobian: Sequence[Sequence[float]]) -> list[float]:
    """Square roots of the diagonal of s^2 (J^T J)^-1; inf of a parameter that moves nothing, or has no inverse."""
    heard = [place for place, row in enumerate(jacobian) if max((abs(value) for value in row), default=0.0) > DEAF]
    variance = max(REPEATS**2, sum(error * error for error in residuals) / max(1, len(residuals) - len(heard)))
    matrix = [
        [sum(a * b for a, b in zip(jacobian[one], jacobian[other], strict=True)) for other in heard] for one in heard
    ]
    # A trace of a ridge: where two parameters do the same, only their own error bars become huge.
    ridge = 1e-9 * max((matrix[at][at] for at in range(len(heard))), default=0.0)
    undone = inverse([[one + ridge * (at == place) for at, one in enumerate(row)] for place, row in enumerate(matrix)])
    found = [math.inf] * len(jacobian)
    if undone is not None:
        for at, place in enumerate(heard):
            found[place] = math.sqrt(max(0.0, variance * undone[at][at]))
    return found
