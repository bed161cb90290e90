"""An order of rows that does not jump: keys are smoothed, and two rows change places only for a clear difference. Pure.

The idea is btop's "cpu lazy" sorting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pdctl.tui.columns import Value

SMOOTHING: Final = 0.35
"""Share of the newest value in a smoothed key: four ticks take a step to 82 %."""
MARGIN: Final = 0.08
"""Rows change places where their keys differ by more than this share of the larger one."""


def _rank(value: Value) -> tuple[int, float, str]:
    """Numbers before texts before what is unknown."""
    if value is None:
        return (2, 0.0, "")
    if isinstance(value, str):
        return (1, 0.0, value)
    return (0, float(value), "")


def clearly_before(one: Value, other: Value, *, descending: bool) -> bool:
    """Whether `one` belongs before `other` by more than the margin. Unknown comes last in either direction."""
    left, right = _rank(one), _rank(other)
    if left[0] != right[0]:
        return left[0] < right[0]
    if isinstance(one, str) and isinstance(other, str):
        return one > other if descending else one < other
    low, high = (left[1], right[1]) if not descending else (right[1], left[1])
    return high - low > MARGIN * max(abs(low), abs(high))


def sorted_ids(keys: Mapping[str, Value], *, descending: bool) -> list[str]:
    """All ids by key; equal ones by id, so that the order is the same wherever they came from."""
    names = sorted(keys)
    names.sort(key=lambda name: _rank(keys[name])[1:], reverse=descending)
    names.sort(key=lambda name: _rank(keys[name])[0])
    return names


def reordered(previous: Sequence[str], keys: Mapping[str, Value], *, descending: bool) -> list[str]:
    """`previous` with as few changes as the margin allows; ids that are new are put where they belong, gone ones left
    out."""
    kept = [name for name in previous if name in keys]
    order: list[str] = []
    have = set(kept)
    for name in (*kept, *sorted_ids({name: keys[name] for name in keys if name not in have}, descending=descending)):
        place = len(order)
        while place and clearly_before(keys[name], keys[order[place - 1]], descending=descending):
            place -= 1
        order.insert(place, name)
    return order


@dataclass(slots=True)
class Ordering:
    """The order of one table's rows over time."""

    order: list[str] = field(default_factory=list)
    smooth: dict[str, Value] = field(default_factory=dict)

    def restart(self) -> None:
        """Another column, or another direction: nothing of the old order counts."""
        self.order, self.smooth = [], {}

    def take(self, keys: Mapping[str, Value], *, descending: bool, frozen: bool = False) -> list[str]:
        """The ids in their order. `frozen`: rows stay where they are, and new ones come at the end."""
        fresh = not self.order
        self.smooth = {name: _smoothed(self.smooth.get(name), value) for name, value in keys.items()}
        if fresh:
            self.order = sorted_ids(self.smooth, descending=descending)
        elif frozen:
            have = set(self.order)
            self.order = [name for name in self.order if name in keys] + [name for name in keys if name not in have]
        else:
            self.order = reordered(self.order, self.smooth, descending=descending)
        return self.order


def _smoothed(before: Value, value: Value) -> Value:
    numbers = isinstance(before, int | float) and isinstance(value, int | float)
    if not numbers or isinstance(value, bool) or isinstance(before, bool):
        return value
    assert isinstance(before, int | float)
    assert isinstance(value, int | float)
    return before + SMOOTHING * (value - before)
