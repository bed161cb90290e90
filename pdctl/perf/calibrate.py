"""Fit the step equation's constants to measured runs: which constants make the simulation say what was measured.

Constants are fitted as logarithms, so that none turns negative; residuals are logarithms of ratios, so that seconds and
tokens per second weigh alike. Error bars come from how the residuals bend at the optimum (Gauss-Newton), and are wide
where the runs say nothing of a constant.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from pdctl.perf.minimize import minimize
from pdctl.perf.step_time import StepConstants

Residuals = Callable[[StepConstants], Sequence[float]]
"""log(simulated / measured) of every figure that is fitted to."""

_NUDGE = 0.05


@dataclass(frozen=True, slots=True)
class Fit:
    """The constants, and of each that was free by what factor it may be off (one standard error; inf: not told)."""

    constants: StepConstants
    factors: Mapping[str, float]
    rms: float
    figures: int


def fit(residuals: Residuals, start: StepConstants, free: Sequence[str], *, iterations: int = 120) -> Fit:
    """Constants near `start` with the least sum of squared residuals; those not in `free` stay.

    Raises ValueError for a free constant that starts at 0: its logarithm has no beginning.
    """
    if any(getattr(start, name) <= 0 for name in free):
        raise ValueError("a constant that is fitted starts above 0")

    def constants(point: Sequence[float]) -> StepConstants:
        return replace(start, **{name: math.exp(value) for name, value in zip(free, point, strict=True)})

    def loss(point: Sequence[float]) -> float:
        return sum(error * error for error in residuals(constants(point)))

    begin = [math.log(getattr(start, name)) for name in free]
    best = minimize(loss, begin, [0.15] * len(free), iterations=iterations)
    errors = list(residuals(constants(best)))
    bends = [_bend(residuals, constants, best, place) for place in range(len(free))]
    spread = _standard_errors(errors, bends)
    factors = {name: math.exp(one) if one < 50 else math.inf for name, one in zip(free, spread, strict=True)}
    rms = math.sqrt(sum(error * error for error in errors) / len(errors))
    return Fit(constants(best), factors, rms, len(errors))


def _bend(
    residuals: Residuals, constants: Callable[[Sequence[float]], StepConstants], best: Sequence[float], place: int
) -> list[float]:
    """How every residual changes with one constant's logarithm."""

    def moved(by: float) -> Sequence[float]:
        return residuals(constants([value + (by if at == place else 0.0) for at, value in enumerate(best)]))

    return [(up - down) / (2 * _NUDGE) for up, down in zip(moved(_NUDGE), moved(-_NUDGE), strict=True)]


def _standard_errors(errors: Sequence[float], bends: Sequence[Sequence[float]]) -> list[float]:
    """Square roots of the diagonal of s^2 (J^T J)^-1; inf where that has no inverse."""
    size = len(bends)
    variance = sum(error * error for error in errors) / max(1, len(errors) - size)
    matrix = [[sum(a * b for a, b in zip(one, other, strict=True)) for other in bends] for one in bends]
    inverse = _inverse(matrix)
    if inverse is None:
        return [math.inf] * size
    return [math.sqrt(max(0.0, variance * inverse[at][at])) for at in range(size)]


def _inverse(matrix: Sequence[Sequence[float]]) -> list[list[float]] | None:
    """By Gauss and Jordan, with pivots; None where the matrix is singular."""
    size = len(matrix)
    rows = [[*row, *(1.0 if at == place else 0.0 for at in range(size))] for place, row in enumerate(matrix)]
    scale = max((abs(value) for row in matrix for value in row), default=0.0)
    for place in range(size):
        pivot = max(range(place, size), key=lambda at: abs(rows[at][place]))
        if abs(rows[pivot][place]) <= 1e-12 * scale:
            return None
        rows[place], rows[pivot] = rows[pivot], rows[place]
        head = rows[place][place]
        rows[place] = [value / head for value in rows[place]]
        for at in range(size):
            if at != place and rows[at][place]:
                times = rows[at][place]
                rows[at] = [value - times * other for value, other in zip(rows[at], rows[place], strict=True)]
    return [row[size:] for row in rows]
