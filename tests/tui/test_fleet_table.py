"""The table, line by line: what a row says, what is painted again, and where the cursor stays."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from textual.app import App, ComposeResult
from textual.pilot import Pilot

from pdctl.tui.columns import Align, ColumnSpec
from pdctl.tui.fleet_table import FREEZE_S, FleetTable
from pdctl.tui.levels import Level
from pdctl.tui.palette import palette


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    load: float | None
    old_s: float | None = None


COLUMNS: tuple[ColumnSpec[Row], ...] = (
    ColumnSpec("name", 0, 6, lambda row: row.name, lambda row: row.name, Align.LEFT),
    ColumnSpec(
        "load", 0, 6, lambda row: row.load, lambda row: "?" if row.load is None else f"{row.load:.3g}",
        level=lambda row: Level.BAD if row.load is not None and row.load > 90 else Level.PLAIN,
    ),
    ColumnSpec("twice", 1, 6, lambda row: row.load and row.load * 2, lambda row: f"{(row.load or 0) * 2:.3g}"),
)  # fmt: skip
LOOK = palette({})


@dataclass
class Moment:
    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


class TableApp(App[None]):
    """Nothing but a table."""

    def __init__(self) -> None:
        super().__init__()
        self.moment = Moment()
        self.moved: list[str] = []
        self.chosen: list[str] = []
        self.table: FleetTable[Row] = FleetTable(
            COLUMNS,
            key=lambda row: row.name,
            look=lambda: LOOK,
            old=lambda row: row.old_s,
            sort_by="load",
            descending=True,
            moment=self.moment,
        )

    def compose(self) -> ComposeResult:
        yield self.table

    def on_fleet_table_chosen(self, message: FleetTable.Chosen) -> None:
        self.chosen.append(message.row_id)


@dataclass
class Shown:
    app: TableApp
    pilot: Pilot[None]
    seen: list[str] = field(default_factory=list)

    @property
    def table(self) -> FleetTable[Row]:
        return self.app.table

    async def give(self, *rows: Row) -> None:
        self.table.set_rows(rows)
        await self.pilot.pause()

    def line(self, y: int) -> str:
        return self.table.render_line(y).text.rstrip()

    def names(self) -> str:
        return " ".join(row.name for row in self.table.shown_rows)


@asynccontextmanager
async def shown(width: int = 40, height: int = 10) -> AsyncIterator[Shown]:
    app = TableApp()
    async with app.run_test(size=(width, height)) as pilot:
        app.table.focus()
        await pilot.pause()
        yield Shown(app, pilot)


def fleet(loads: Sequence[float]) -> tuple[Row, ...]:
    return tuple(Row(f"n{place:03d}", load) for place, load in enumerate(loads))


async def test_a_header_and_a_line_a_row_with_the_order_marked() -> None:
    async with shown() as it:
        await it.give(Row("a", 5.0), Row("b", None), Row("c", 95.0))
        assert it.line(0).split() == ["name", "load▼", "twice"]
        assert [it.line(y).split() for y in (1, 2, 3)] == [
            [">c", "95", "190"], ["a", "5", "10"], ["b", "?", "0"],
        ]  # fmt: skip
        assert all(it.table.render_line(y).cell_length == 40 for y in range(10))


async def test_a_level_has_its_own_style_and_an_old_row_is_dim() -> None:
    async with shown() as it:
        await it.give(Row("a", 95.0), Row("b", 5.0, old_s=12.0), Row("c", 4.0))
        styles = {
            segment.text.strip(): segment.style
            for y in (1, 2, 3)
            for segment in it.table.render_line(y)
            if segment.text
        }
        bad = LOOK.level(Level.BAD)
        assert any(style and style.color == bad.color for text, style in styles.items() if "95" in text)
        assert any(style and style.color == LOOK.dim.color for text, style in styles.items() if "5" in text)


async def test_equal_text_is_not_painted_again_and_one_changed_row_is_one_line() -> None:
    async with shown(height=30) as it:
        await it.give(*fleet([50.0 - place for place in range(20)]))
        before = it.table.painted_lines
        await it.give(*fleet([50.001 - place for place in range(20)]))
        assert it.table.painted_lines == before
        await it.give(*fleet([50.0 - place + (place == 7) * 0.5 for place in range(20)]))
        assert it.table.painted_lines == before + 1


async def test_a_tick_of_a_thousand_rows_paints_no_more_than_the_screen() -> None:
    async with shown(height=30) as it:
        await it.give(*fleet([float(place) for place in range(1000)]))
        before = it.table.painted_lines
        await it.give(*fleet([float(place) + 3.0 for place in range(1000)]))
        assert it.table.painted_lines - before <= 29


async def test_the_cursor_follows_its_row_and_not_its_line() -> None:
    async with shown() as it:
        await it.give(Row("a", 90.0), Row("b", 50.0), Row("c", 10.0))
        await it.pilot.press("down")
        assert (it.table.cursor_id, it.table.cursor_line) == ("b", 1)
        it.app.moment.now_s += FREEZE_S + 1
        for _ in range(20):
            await it.give(Row("a", 1.0), Row("b", 50.0), Row("c", 10.0))
        assert it.names() == "b c a"
        assert (it.table.cursor_id, it.table.cursor_line) == ("b", 0)


async def test_rows_stay_while_the_operator_moves() -> None:
    async with shown() as it:
        await it.give(Row("a", 90.0), Row("b", 50.0))
        await it.pilot.press("down")
        for _ in range(20):
            it.table.set_rows([Row("a", 1.0), Row("b", 50.0)])
        assert it.names() == "a b"
        it.app.moment.now_s += FREEZE_S + 0.1
        it.table.set_rows([Row("a", 1.0), Row("b", 50.0)])
        assert it.names() == "b a"


async def test_a_row_that_goes_leaves_the_cursor_near_where_it_was() -> None:
    async with shown() as it:
        await it.give(Row("a", 9.0), Row("b", 5.0), Row("c", 1.0))
        await it.pilot.press("down")
        await it.give(Row("a", 9.0), Row("c", 1.0))
        assert it.table.cursor_id == "c"
        await it.give()
        assert it.table.cursor_id == ""
        assert it.table.current is None


async def test_keys_scroll_so_that_the_cursor_is_seen_under_the_header() -> None:
    async with shown(height=6) as it:
        await it.give(*fleet([100.0 - place for place in range(50)]))
        await it.pilot.press("end")
        assert it.table.cursor_id == "n049"
        assert it.line(0).startswith(" name")
        assert it.line(5).startswith(">n049")
        await it.pilot.press("home")
        assert it.line(1).startswith(">n000")
        await it.pilot.press("enter")
        assert it.app.chosen == ["n000"]


async def test_a_filter_and_an_order_are_of_what_is_given() -> None:
    async with shown() as it:
        await it.give(Row("a", 9.0), Row("b", 5.0), Row("c", None))
        it.table.set_filter("load>6")
        assert it.names() == "a"
        await it.give(Row("a", 2.0), Row("b", 7.0))
        assert it.names() == "b"
        it.table.set_filter("")
        it.table.set_sort("name", descending=False)
        assert it.names() == "a b"
        it.table.sort_next()
        assert it.table.sort_by == "load"


async def test_a_click_on_a_header_orders_by_it_and_on_a_row_selects_it() -> None:
    async with shown() as it:
        await it.give(Row("a", 9.0), Row("b", 5.0))
        await it.pilot.click(it.table, offset=(2, 0))
        assert it.table.sort_by == "name"
        assert it.names() == "b a"  # the direction stays
        await it.pilot.click(it.table, offset=(2, 1))
        assert it.table.cursor_id == "b"
        assert it.app.chosen == []
        await it.pilot.click(it.table, offset=(2, 1))
        assert it.app.chosen == ["b"]
