"""Tables of a snapshot as CSV, with raw values: seconds, bytes, shares of 1; an interval is two columns. Pure.

What is not known is an empty cell, never a zero. Headers say the unit; columns that screens show have the same names.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

from pdctl.model.figure import Fig, Figure, Latency
from pdctl.model.snapshot import Alert, PairFigures, PoolFigures, Snapshot
from pdctl.tui.columns import ColumnSpec, Value
from pdctl.tui.fleet_columns import fleet_columns
from pdctl.tui.fleet_rows import Rows, fleet_rows

TABLES: Final = ("nodes", "slots", "instances", "pools", "pairs", "alerts")
R = TypeVar("R")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet would take a text that begins so for a formula (OWASP, CSV injection); node output may be anything."""


def csv_of(snapshot: Snapshot, table: str, window_s: int = 10) -> str:
    """One of TABLES, over `window_s` where its figures have windows. Raises KeyError for another name."""
    if table in ("nodes", "slots", "instances"):
        rows = Rows(table)
        return csv_table(fleet_columns(rows), fleet_rows(snapshot, rows))
    records = {"pools": _pools, "pairs": _pairs, "alerts": _alerts}[table](snapshot, window_s)
    return _written(_HEADERS[table], records)


def csv_table(columns: Sequence[ColumnSpec[R]], rows: Iterable[R]) -> str:
    """Any table of the screens: all its columns, in its order."""
    header = [f"{column.name}_{_unit(column.unit)}" if column.unit else column.name for column in columns]
    return _written(header, ([column.value(row) for column in columns] for row in rows))


def _unit(unit: str) -> str:
    return unit.replace("/s", "_per_s")


def _written(header: Sequence[str], records: Iterable[Sequence[Value]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    for record in records:
        writer.writerow([_cell(value) for value in record])
    return out.getvalue()


def _cell(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return "inf" if math.isinf(value) else f"{value:.6g}"
    return f"'{value}" if value.startswith(_FORMULA) else value


def _bounds(figure: Fig) -> tuple[float | None, float | None]:
    return (figure.low, figure.high) if isinstance(figure, Figure) else (None, None)


def _middle(figure: Fig) -> float | None:
    return figure.middle if isinstance(figure, Figure) else None


_LATENCIES: Final = ("ttft", "itl", "tpot", "queue")
_HEADERS: Final = {
    "pools": (
        *("pool", "role", "members", "instances", "counted", "running", "waiting", "waiting_for_kv", "kv_usage"),
        *(
            f"{name}_{quantile}_s"
            for name in _LATENCIES
            for quantile in ("mean", "p50_low", "p50_high", "p99_low", "p99_high")
        ),
        *("requests_per_s", "tokens_in_per_s", "tokens_out_per_s", "preemptions_per_s"),
        *("kv_measured_bytes_per_s", "kv_derived_low_bytes_per_s", "kv_derived_high_bytes_per_s"),
        "kv_nic_bytes_per_s",
    ),
    "pairs": ("prefill", "decode", "state", "handoff_s", "age_s", "tried", "failures", "why"),
    "alerts": ("id", "level", "subject", "cause", "hint", "since_unix_s", "folded"),
}


def _pools(snapshot: Snapshot, window_s: int) -> Iterable[Sequence[Value]]:
    for pool in snapshot.pools.values():
        yield _pool(pool, window_s)


def _pool(pool: PoolFigures, window_s: int) -> list[Value]:
    load, window, kv = pool.load, pool.windows[window_s], pool.kv[window_s]
    latencies: list[Value] = []
    for name in _LATENCIES:
        latency: Latency = getattr(window.latencies, name)
        latencies += [_middle(latency.mean), *_bounds(latency.p50), *_bounds(latency.p99)]
    flow = window.flow
    return [
        *(pool.name, pool.role.value, _whole(pool.members), _whole(pool.instances), _whole(pool.counted)),
        *(_middle(figure) for figure in (load.running, load.waiting, load.deferred, load.kv_usage)),
        *latencies,
        *(_middle(figure) for figure in (flow.requests, flow.tokens_in, flow.tokens_out, flow.preemptions)),
        *(_middle(kv.bytes_measured), *_bounds(kv.bytes_derived), _middle(kv.bytes_nic)),
    ]


def _whole(count: int | None) -> Value:
    return None if count is None else float(count)


def _pairs(snapshot: Snapshot, window_s: int) -> Iterable[Sequence[Value]]:
    for pair in snapshot.pairs:
        yield pair_record(pair)


def pair_record(pair: PairFigures) -> Sequence[Value]:
    """One pair, as the header of "pairs" says."""
    time = pair.handoff_s
    age_s = time.age_s if isinstance(time, Figure) else None
    counts = (float(pair.tried), float(pair.failures))
    return (pair.prefill, pair.decode, pair.state.value, _middle(time), age_s, *counts, pair.why)


def _alerts(snapshot: Snapshot, window_s: int) -> Iterable[Sequence[Value]]:
    alert: Alert
    for alert in snapshot.alerts:
        # To the millisecond: six digits would be a quarter of an hour.
        since = f"{alert.since_s:.3f}"
        yield (alert.id, alert.level.value, alert.subject, alert.cause, alert.hint, since, float(alert.folded))
