"""Figures in the few columns of a table's cell: three digits, one bound of an interval, never a range. Pure.

Of an interval the upper bound is shown, behind `<`: what is said holds, and the cell stays narrow. `text.figures` has
the whole truth, for where there is room.
"""

from __future__ import annotations

import math

from pdctl.model.figure import Fig, Figure
from pdctl.model.reading import Unknown
from pdctl.text.figures import UNKNOWN, amount, seconds, share


def _bound(figure: Figure) -> tuple[str, Figure]:
    """`<` and the upper bound, `>` and the lower one where there is no upper, "" where it is exact."""
    if math.isinf(figure.high):
        return ">", Figure.exact(figure.low, figure.age_s, figure.basis)
    if figure.low == figure.high:
        return "", Figure.exact(figure.high, figure.age_s, figure.basis)
    return "<", Figure.exact(figure.high, figure.age_s, figure.basis)


def brief_seconds(figure: Fig) -> str:
    """`212ms`, `<1.4s`, `>2.56e+03s`, `?`."""
    if isinstance(figure, Unknown):
        return UNKNOWN
    sign, bound = _bound(figure)
    return sign + seconds(bound)


def brief_amount(figure: Fig) -> str:
    """`1.2k`, `?`."""
    if isinstance(figure, Unknown):
        return UNKNOWN
    sign, bound = _bound(figure)
    return sign + amount(bound)


def brief_share(figure: Fig) -> str:
    """`35%`, `?`."""
    if isinstance(figure, Unknown):
        return UNKNOWN
    sign, bound = _bound(figure)
    return sign + share(bound)
