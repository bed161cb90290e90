"""Durations as operators read them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """`4.2s`, `42s`, `3m05s`, `2h07m`: never more than two units, so that columns stay narrow."""
    seconds = max(0.0, seconds)
    if round(seconds, 1) < 10:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m"
