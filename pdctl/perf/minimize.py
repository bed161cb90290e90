"""Minimisation without derivatives (Nelder and Mead, 1965): simulated figures are not smooth.

Six parameters need no numerical library on an operator's machine, and a cold `pdctl advise` has no time to load one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

Loss = Callable[[Sequence[float]], float]


def minimize(loss: Loss, start: Sequence[float], steps: Sequence[float], *, iterations: int = 200) -> list[float]:
    """The point with the smallest loss found from `start`; `steps` is the first simplex's size in each direction."""
    corners = [list(start)]
    for place, step in enumerate(steps):
        corners.append([value + (step if at == place else 0.0) for at, value in enumerate(start)])
    simplex = [(loss(corner), corner) for corner in corners]
    for _ in range(iterations):
        simplex.sort(key=lambda one: one[0])
        _improve(loss, simplex)
    return min(simplex, key=lambda one: one[0])[1]


def _improve(loss: Loss, simplex: list[tuple[float, list[float]]]) -> None:
    """Replace the worst corner of a sorted simplex, or shrink all towards the best."""
    size = len(simplex) - 1
    worst_loss, worst = simplex[-1]
    centre = [sum(corner[at] for _, corner in simplex[:-1]) / size for at in range(size)]

    def tried(distance: float) -> tuple[float, list[float]]:
        point = [middle + distance * (value - middle) for middle, value in zip(centre, worst, strict=True)]
        return loss(point), point

    reflected = tried(-1.0)
    if reflected[0] < simplex[0][0]:
        simplex[-1] = min(tried(-2.0), reflected, key=lambda one: one[0])
    elif reflected[0] < simplex[-2][0]:
        simplex[-1] = reflected
    elif (inside := tried(0.5))[0] < worst_loss:
        simplex[-1] = inside
    else:
        best = simplex[0][1]
        for place in range(1, size + 1):
            point = [(one + other) / 2 for one, other in zip(best, simplex[place][1], strict=True)]
            simplex[place] = (loss(point), point)
