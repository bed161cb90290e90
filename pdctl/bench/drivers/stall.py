"""A load that stands still: requests in flight, and nothing has come for any of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable

_NAMED = 20


class StallWatch:
    """Times are of any one clock. `limit_s` without a byte of any answer while some are in flight is a stall; how long
    one request waits is no stall while others get tokens (its deadline bounds that)."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._in_flight: set[int] = set()
        self._since_s = 0.0

    def sent(self, index: int, now_s: float) -> None:
        if not self._in_flight:
            self._since_s = now_s
        self._in_flight.add(index)

    def ended(self, index: int) -> None:
        self._in_flight.discard(index)

    def stalled(self, now_s: float, heard_s: float) -> str:
        """What stalled, in one line; "" while nothing does. `heard_s`: when the last byte came."""
        if not self._in_flight or now_s - max(self._since_s, heard_s) < self._limit_s:
            return ""
        count = len(self._in_flight)
        return (
            f"nothing came for {self._limit_s:g} s for any of {count} request{'s' * (count > 1)} in flight: "
            + _names(sorted(self._in_flight))
        )


def _names(indices: Iterable[int]) -> str:
    names = [f"#{index}" for index in indices]
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
