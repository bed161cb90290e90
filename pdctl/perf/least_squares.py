"""Least squares by damped Gauss-Newton steps (Levenberg 1944, Marquardt 1963), with differences for derivatives.

Figures of a simulation are rough on a fine scale, so derivatives are taken over nudges of several percent, and every
point that was tried may become the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Residuals = Callable[[Sequence[float]], Sequence[float]]

_FARTHEST = 0.5
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Solved:
    """`jacobian[i][j]`: how residual j changes with parameter i, near the point."""

    point: tuple[float, ...]
    residuals: tuple[float, ...]
    jacobian: tuple[tuple[float, ...], ...]
    rounds: int

    @property
    def loss(self) -> float:
        """The sum of squared residuals."""
        return _squares(self.residuals)


def least_squares(
    residuals: Residuals,
    start: Sequence[float],
    *,
    nudge: float = 0.05,
    rounds: int = 10,
    enough: float = 1e-3,
    on_round: Callable[[int, float], None] = lambda done, loss: None,
) -> Solved:
    """The point with the least sum of squares found from `start`.

    A round that lessens the sum by less than the share `enough` makes the nudges a third as wide; ends when they are
    below a tenth of what they were, or after `rounds`. No step is longer than 0.5 in any direction. `on_round` hears
    of each round's number and sum.
    """
    best = _Best(tuple(start), tuple(residuals(start)))
    jacobian: tuple[tuple[float, ...], ...] = ()
    damping, done, narrowest = 0.02, 0, nudge / 10
    while done < rounds and nudge > narrowest:
        done += 1
        before, centre = best.loss, best
        rows = []
        for place in range(len(start)):
            up, down = (best.tried(residuals, _moved(centre.point, place, by)) for by in (nudge, -nudge))
            rows.append(tuple((one - other) / (2 * nudge) for one, other in zip(up, down, strict=True)))
            best = best.better()
        jacobian = tuple(rows)
        damping, best = _step(residuals, centre, best, jacobian, damping)
        on_round(done, best.loss)
        if before - best.loss <= enough * before:
            nudge /= 3
    return Solved(best.point, best.values, jacobian, done)


@dataclass(slots=True)
class _Best:
    """A point and its residuals, and what was tried around it since."""

    point: tuple[float, ...]
    values: tuple[float, ...]
    rival: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    @property
    def loss(self) -> float:
        return _squares(self.values)

    def tried(self, residuals: Residuals, point: tuple[float, ...]) -> tuple[float, ...]:
        values = tuple(residuals(point))
        if _squares(values) < (_squares(self.rival[1]) if self.rival else self.loss):
            self.rival = (point, values)
        return values

    def better(self) -> _Best:
        return _Best(*self.rival) if self.rival else self


def _step(
    residuals: Residuals, centre: _Best, best: _Best, jacobian: Sequence[Sequence[float]], damping: float
) -> tuple[float, _Best]:
    """One step from `centre`, shorter while it does not lessen the sum below `best`'s; the damping that served."""
    square = [[_dot(one, other) for other in jacobian] for one in jacobian]
    slope = [_dot(one, centre.values) for one in jacobian]
    for _ in range(_TRIES):
        damped = [
            [value + (damping * value + 1e-12 if at == place else 0.0) for at, value in enumerate(row)]
            for place, row in enumerate(square)
        ]
        undone = inverse(damped)
        if undone is not None:
            moves = [max(-_FARTHEST, min(_FARTHEST, -_dot(row, slope))) for row in undone]
            point = tuple(value + move for value, move in zip(centre.point, moves, strict=True))
            values = tuple(residuals(point))
            if _squares(values) < best.loss:
                return damping / 4, _Best(point, values)
        damping *= 5
    return damping, best


def inverse(matrix: Sequence[Sequence[float]]) -> list[list[float]] | None:
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


def _moved(point: tuple[float, ...], place: int, by: float) -> tuple[float, ...]:
    return (*point[:place], point[place] + by, *point[place + 1 :])


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def _squares(values: Sequence[float]) -> float:
    return _dot(values, values)
