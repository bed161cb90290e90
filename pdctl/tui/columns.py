"""A table's columns: one description gives the cells, the sort key, the filter's fields, the CSV and the help. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeAlias, TypeVar

from pdctl.tui.levels import Level

R = TypeVar("R")

Value: TypeAlias = float | str | bool | None
"""What a cell is worth, in the unit of the snapshot (seconds, bytes, shares of 1); None: not known."""


class Align(StrEnum):
    LEFT = "left"
    RIGHT = "right"


def plain(row: object) -> Level:
    """The level of a cell that is not judged."""
    return Level.PLAIN


@dataclass(frozen=True, slots=True)
class ColumnSpec(Generic[R]):
    """One column of rows `R`.

    `name` is what the filter and the CSV call it, `title` the header ("" : the name). Columns of priority 0 are always
    shown; the highest number goes first where the terminal is narrow. `min_width` is the width of every cell: widths
    never follow the data, so that nothing jumps; the column that `grows` takes what is left. `value` None is unknown:
    it sorts last and matches no comparison. `sort_key` None sorts by `value`.
    """

    name: str
    priority: int
    min_width: int
    value: Callable[[R], Value]
    text: Callable[[R], str]
    align: Align = Align.RIGHT
    sort_key: Callable[[R], Value] | None = None
    level: Callable[[R], Level] = plain
    title: str = ""
    grows: bool = False
    unit: str = ""  # for help and CSV headers: "s", "bytes", ...

    @property
    def header(self) -> str:
        return self.title or self.name

    @property
    def width(self) -> int:
        """Its cell and the gap after it, which belongs to it."""
        return max(self.min_width, len(self.header))

    def key(self, row: R) -> Value:
        """What rows are ordered by."""
        return self.value(row) if self.sort_key is None else self.sort_key(row)


GAP = 2


@dataclass(frozen=True, slots=True)
class Placed(Generic[R]):
    """A column that is shown, and its width."""

    column: ColumnSpec[R]
    width: int


def lay_out(columns: Sequence[ColumnSpec[R]], width: int) -> tuple[Placed[R], ...]:
    """The columns that fit into `width`, in their order; those of priority 0 stay even where they do not fit."""
    kept = list(columns)
    while _total(kept) > width:
        droppable = [column for column in kept if column.priority > 0]
        if not droppable:
            break
        highest = max(column.priority for column in droppable)
        kept.remove([column for column in droppable if column.priority == highest][-1])
    spare = max(0, width - _total(kept))
    growing = [column for column in kept if column.grows]
    return tuple(Placed(column, column.width + (spare if growing and column is growing[-1] else 0)) for column in kept)


def _total(columns: Sequence[ColumnSpec[R]]) -> int:
    return sum(column.width + GAP for column in columns) - GAP
