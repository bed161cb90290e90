"""A view around one table: its filter, its order, and a line that says how many rows of how many are shown."""

from __future__ import annotations

from typing import Any

from pdctl.tui.filter import FilterError
from pdctl.tui.fleet_table import FleetTable
from pdctl.tui.screens.base import ViewScreen


class TabledScreen(ViewScreen):
    """A subclass gives its `table`; keys for filter and order work on it."""

    @property
    def table(self) -> FleetTable[Any]:
        raise NotImplementedError

    def plural(self) -> str:
        """What rows are, in the plural."""
        return "rows"

    def chip(self) -> str:
        shown, every = len(self.table.shown_rows), len(self.table.all_rows)
        text = self.table.row_filter.text.strip()
        plural = self.plural() if every != 1 else self.plural().removesuffix("s")
        return f"{shown} of {every}  /{text}" if text else f"{every} {plural}"

    def on_mount(self) -> None:
        super().on_mount()
        self.table.focus()

    def action_filter(self) -> None:
        names = " ".join(column.name for column in self.table.columns)
        self.prompt.ask("filter", self.table.row_filter.text, hint=f"pool:decode ttft>800ms !ready    ({names})")

    def apply_filter(self, text: str) -> str:
        try:
            self.table.set_filter(text)
        except FilterError as error:
            return f"column {error.column + 1}: {error.message}"
        finally:
            self.redraw()
        return ""

    def action_level_up(self) -> None:
        self.forgive()
        if self.table.row_filter.text:
            self.apply_filter("")

    def action_sort_next(self) -> None:
        self.table.sort_next()

    def action_sort_reverse(self) -> None:
        self.table.set_sort(self.table.sort_by, descending=not self.table.descending)
