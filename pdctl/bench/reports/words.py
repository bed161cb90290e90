"""Figures as reports word them. Pure."""

from __future__ import annotations

UNKNOWN = "-"
_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def seconds(value_s: float | None) -> str:
    """`0.4ms`, `77.6ms`, `4.08s`, `118s`."""
    if value_s is None:
        return UNKNOWN
    return f"{_digits(value_s * 1e3)}ms" if value_s < 0.9995 else f"{_digits(value_s)}s"


def amount(value: float | None) -> str:
    """`0.5`, `8.42k`, `24.7k`."""
    if value is None:
        return UNKNOWN
    for size, prefix in _PREFIXES:
        if abs(value) >= size * 0.9995:
            return f"{_digits(value / size)}{prefix}"
    return _digits(value)


def share(value: float) -> str:
    """A share of 1 as per cent. What is not whole is not said to be: 99.96 % is `99.9%`, not `100%`."""
    percent = value * 100
    if percent >= 99.95:
        return "100%" if percent >= 100 else "99.9%"
    return f"{percent:.1f}%" if percent < 10 or percent > 99 else f"{percent:.0f}%"


def ratio(value: float | None) -> str:
    """`1.84x`"""
    return UNKNOWN if value is None else f"{value:.2f}x" if value < 99.995 else f"{value:.0f}x"


def _digits(value: float) -> str:
    """Three digits that say something, none after the point where there are three before it."""
    if value == 0:
        return "0"
    if abs(value) >= 99.95:
        return f"{value:.0f}"
    text = f"{value:.2f}" if abs(value) < 9.995 else f"{value:.1f}"
    return text.rstrip("0").rstrip(".")
