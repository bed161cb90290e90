"""Charts with a title: scale and span are said, both directions share one scale, and only what changed is painted."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual.app import App, ComposeResult

from pdctl.tui.history import History
from pdctl.tui.palette import palette
from pdctl.tui.plots import Plot, Room, plot_lines, say_amount, say_bytes
from pdctl.tui.spans import plain, width
from pdctl.tui.widgets.chart import BrailleChart
from tests.tui.fleet import exact, snapshot

REQUESTS = ("router", "", "requests")
TWO_WAYS = Plot("NIC", ("node", "n01", "tx_bytes"), say_bytes, down=("node", "n01", "rx_bytes"))


def grown(values: list[float]) -> History:
    history = History()
    tick = snapshot(1, 1)
    for second, value in enumerate(values):
        history.add(replace(tick, taken_s=tick.taken_s + second, router=replace(tick.router, requests=exact(value))))
    return history


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize(("columns", "rows"), [(20, 5), (68, 12), (8, 2)])
def test_a_chart_takes_the_room_it_has(columns: int, rows: int, ascii_only: bool) -> None:
    for plot in (Plot("requests", REQUESTS, say_amount), TWO_WAYS):
        lines = plot_lines(plot, grown([1.0, 2.0, 3.0]), Room(columns, rows, ascii_only))
        assert len(lines) == rows
        assert all(width(line) <= columns for line in lines)


def test_its_title_says_how_long_and_what_the_edge_is() -> None:
    title, *_ = plot_lines(Plot("requests", REQUESTS, say_amount), grown([1.0] * 90), Room(60, 4))
    assert plain(title).split() == ["requests", "2m00s,", "to", "1"]


def test_a_chart_of_nothing_has_no_scale() -> None:
    assert "nothing known yet" in plain(
        plot_lines(Plot("x", ("pool", "x", "y"), say_amount), grown([1.0]), Room(60, 4))[0]
    )


def test_both_directions_are_drawn_on_one_scale() -> None:
    """2.4 GB/s of 5 upwards, 2.2 of 5 downwards."""
    lines = [plain(line) for line in plot_lines(TWO_WAYS, grown([1.0] * 10), Room(10, 9))]
    assert [line[-1:].strip() != "" for line in lines[1:]] == [False, False, True, True, True, True, False, False]
    assert "5GB/s" in plain(plot_lines(TWO_WAYS, grown([1.0] * 10), Room(60, 5))[0])


class OneChart(App[None]):
    """A chart and nothing else."""

    def __init__(self, history: History) -> None:
        super().__init__()
        self.history = history

    def compose(self) -> ComposeResult:
        look = palette({})
        yield BrailleChart(Plot("requests", REQUESTS, say_amount), lambda: self.history, lambda: look)


async def test_the_widget_paints_nothing_where_nothing_changed() -> None:
    app = OneChart(grown([1.0, 5.0]))
    async with app.run_test(size=(40, 8)) as pilot:
        await pilot.pause()
        chart = app.query_one(BrailleChart)
        assert plain(chart.lines[0]).startswith("requests")
        assert any(mark >= "⠀" for line in chart.lines[1:] for mark in plain(line))
        painted = chart.painted_lines
        chart.again()
        await pilot.pause()
        assert chart.painted_lines == painted
        app.history = grown([1.0, 5.0, 0.0])
        chart.again()
        await pilot.pause()
        assert chart.painted_lines > painted
