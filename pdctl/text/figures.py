"""Figures in few characters, with what must be said: `~` estimated or derived, `>` no upper end, `?` unknown."""

from __future__ import annotations

import math

from pdctl.model.figure import Basis, Fig, Figure
from pdctl.model.reading import Unknown

UNKNOWN = "?"
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def seconds(figure: Fig) -> str:
    """A latency: `40-60ms`, `~1.2s`, `>2560s`."""
    if isinstance(figure, Unknown):
        return UNKNOWN
    if math.isinf(figure.high):
        return f"{_sign(figure)}>{_seconds(figure.low)}"
    low, high = _seconds(figure.low), _seconds(figure.high)
    if low == high:
        return _sign(figure) + low
    unit = "ms" if high.endswith("ms") else "s"
    if low.endswith("ms") == high.endswith("ms"):
        low = low.removesuffix(unit)
    return f"{_sign(figure)}{low}-{high}"


def amount(figure: Fig, unit: str = "") -> str:
    """A count or a rate: `1.2k`, `~3.4GB`."""
    if isinstance(figure, Unknown):
        return UNKNOWN
    low, high = _amount(figure.low), _amount(figure.high)
    return f"{_sign(figure)}{low if low == high else f'{low}-{high}'}{unit}"


def share(figure: Fig) -> str:
    """A share of 1 as per cent: `97%`, `~90-99%`."""
    if isinstance(figure, Unknown):
        return UNKNOWN
    low, high = f"{figure.low * 100:.0f}", f"{figure.high * 100:.0f}"
    return f"{_sign(figure)}{low if low == high else f'{low}-{high}'}%"


def _sign(figure: Figure) -> str:
    return "~" if figure.basis in (Basis.ESTIMATED, Basis.DERIVED) else ""


def _seconds(value: float) -> str:
    if value < 1.0:
        return f"{value * 1e3:.3g}ms"
    return f"{value:.3g}s"


def _amount(value: float) -> str:
    if math.isinf(value):
        return "inf"
    for size, prefix in _PREFIXES:
        if abs(value) >= size:
            return f"{value / size:.3g}{prefix}"
    return f"{value:.3g}" if abs(value) >= 1 or value == 0 else f"{value:.2g}"
