"""CSV of what screens show: raw values, units in the header, nothing unknown made into a zero."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from pdctl.model.figure import Figure
from pdctl.model.reading import Unknown
from pdctl.model.snapshot import Alert, AlertLevel
from pdctl.tui.csv_tables import TABLES, csv_of
from tests.tui.fleet import START_S, snapshot


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("table", TABLES)
def test_every_table_has_a_row_a_thing_and_a_header_without_repeats(table: str) -> None:
    tick = snapshot(2, 3, hung=(3,))
    text = csv_of(tick, table)
    header = text.splitlines()[0].split(",")
    assert len(header) == len(set(header))
    assert len(read(text)) == {"pools": 2, "pairs": 6, "alerts": 1}.get(table, 5)


def test_an_interval_is_two_columns_and_unknown_is_empty() -> None:
    tick = snapshot(1, 1)
    decode = tick.pools["decode"]
    load = replace(decode.load, kv_usage=Unknown("silent"))
    latencies = replace(decode.windows[10].latencies.itl, p99=Figure(80.0, float("inf"), 0.0))
    window = replace(decode.windows[10], latencies=replace(decode.windows[10].latencies, itl=latencies))
    changed = replace(decode, load=load, windows={**decode.windows, 10: window}, members=None)
    row = read(csv_of(replace(tick, pools={"decode": changed}), "pools"))[0]
    assert (row["itl_p99_low_s"], row["itl_p99_high_s"], row["kv_usage"], row["members"]) == ("80", "inf", "", "")
    assert row["kv_measured_bytes_per_s"] == ""
    assert row["kv_derived_low_bytes_per_s"] == "1.6e+09"


def test_the_window_is_the_one_that_was_asked_for() -> None:
    tick = snapshot(1, 1)
    decode = tick.pools["decode"]
    slow = replace(decode.windows[300], flow=replace(decode.windows[300].flow, requests=Figure.exact(99.0, 0.0)))
    changed = replace(tick, pools={"decode": replace(decode, windows={**decode.windows, 300: slow})})
    assert read(csv_of(changed, "pools", 300))[0]["requests_per_s"] == "99"


def test_what_a_node_wrote_is_no_formula_of_a_spreadsheet() -> None:
    evil = Alert("x", AlertLevel.WARN, "n1", '=HYPERLINK("http://x","y")', "+1", START_S)
    row = read(csv_of(replace(snapshot(1, 1), alerts=(evil,)), "alerts"))[0]
    assert row["cause"] == '\'=HYPERLINK("http://x","y")'
    assert row["hint"] == "'+1"
    assert row["since_unix_s"] == f"{START_S:.3f}"
