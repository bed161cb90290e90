"""Rows of the fleet: what is summed, what is the highest, what is not known, and what is old."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pdctl.model.figure import Figure
from pdctl.model.reading import Unknown
from pdctl.tui.columns import lay_out
from pdctl.tui.fleet_columns import fleet_columns
from pdctl.tui.fleet_rows import Rows, fleet_rows, highest, total
from pdctl.tui.levels import Level
from tests.tui.fleet import exact, snapshot


def test_a_node_is_as_bad_as_its_worst_engine_and_says_why() -> None:
    rows = {row.id: row for row in fleet_rows(snapshot(1, 3, hung=(2,), lost=(3,)), Rows.NODES)}
    assert (rows["n01"].state, rows["n01"].level) == ("ready", Level.GOOD)
    assert (rows["n02"].state, rows["n02"].level, rows["n02"].why) == ("hung", Level.BAD, "no step for 30 s")
    assert (rows["n03"].state, rows["n03"].level) == ("lost", Level.BAD)
    assert rows["n03"].old_s == 42.0
    assert rows["n01"].old_s is None


def test_a_node_without_an_engine_is_a_spare() -> None:
    seen = snapshot(1, 1)
    row = fleet_rows(replace(seen, instances={}), Rows.NODES)[0]
    assert (row.state, row.level, row.running) == ("spare", Level.DIM, None)


def test_two_engines_of_a_node_are_summed_and_the_slower_latency_counts() -> None:
    seen = snapshot(0, 2)
    first, second = seen.instances.values()
    both = {first.name: first, "n01.other.0": replace(second, name="n01.other.0", node="n01", slot="other")}
    row = next(row for row in fleet_rows(replace(seen, instances=both), Rows.NODES) if row.id == "n01")
    assert row.slots == ("n01.main", "n01.other")
    assert isinstance(row.running, Figure)
    assert isinstance(first.load.running, Figure)
    assert isinstance(second.load.running, Figure)
    assert row.running.low == first.load.running.low + second.load.running.low


def test_a_sum_with_an_unknown_part_is_unknown_and_a_highest_is_of_what_is_known() -> None:
    dark = Unknown("no answer")
    assert total([exact(1.0), dark]) is dark
    assert total([]) is None
    assert highest([dark, exact(2.0), exact(1.0)]) == exact(2.0)
    assert highest([dark]) is dark


@pytest.mark.parametrize("rows", list(Rows))
@pytest.mark.parametrize("width", [78, 98, 118, 158, 198])
def test_columns_fit_every_width_and_the_names_stay(rows: Rows, width: int) -> None:
    placed = lay_out(fleet_columns(rows), width)
    assert sum(item.width + 2 for item in placed) - 2 <= width
    assert [item.column.name for item in placed[:2]] == [rows.value.removesuffix("s"), "state"]
    if width >= 158:
        assert "why" in [item.column.name for item in placed]


def test_a_narrow_table_gives_up_the_least_important_columns_first() -> None:
    names = [item.column.name for item in lay_out(fleet_columns(Rows.NODES), 78)]
    assert {"pool", "wait", "ttft", "itl99"} <= set(names)
    assert not {"gen", "power", "vram"} & set(names)


def test_rows_of_every_kind_are_selectors_of_the_cli() -> None:
    seen = snapshot(1, 1)
    assert [row.id for row in fleet_rows(seen, Rows.NODES)] == ["n01", "n02"]
    assert [row.id for row in fleet_rows(seen, Rows.SLOTS)] == ["n01.main", "n02.main"]
    assert [row.id for row in fleet_rows(seen, Rows.INSTANCES)] == ["n01.main.0", "n02.main.0"]
