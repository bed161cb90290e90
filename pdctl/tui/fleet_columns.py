"""The columns of the fleet's table. Their names are the filter's words and the CSV's header. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pdctl.model.figure import Fig, Figure
from pdctl.text.duration import duration
from pdctl.text.escape import one_line
from pdctl.tui.brief import brief_amount, brief_seconds, brief_share
from pdctl.tui.columns import Align, ColumnSpec, Value
from pdctl.tui.fleet_rows import FleetRow, Rows
from pdctl.tui.levels import Level, glyph

KV_FULL: Final = 0.9
"""As in `telemetry.bottleneck`: above this share of its KV cache an engine is near preemption."""
NONE: Final = "-"
"""There is no such figure here, which is not the same as an unknown one (`?`)."""
GPU_HOT_C: Final = 95.0
"""Near where AMD's Instinct parts throttle; `pdctl check` judges with the part's own limits."""


def number(figure: Fig | None) -> Value:
    """For sorting and comparing; None where it is not known."""
    return figure.middle if isinstance(figure, Figure) else None


def _figure(
    name: str,
    priority: int,
    width: int,
    pick: Callable[[FleetRow], Fig | None],
    text: Callable[[Fig], str],
    *,
    title: str = "",
    unit: str = "",
    level: Callable[[FleetRow], Level] | None = None,
) -> ColumnSpec[FleetRow]:
    def level_of(row: FleetRow) -> Level:
        if not isinstance(pick(row), Figure):
            return Level.DIM
        return level(row) if level is not None else Level.PLAIN

    return ColumnSpec(
        name,
        priority,
        width,
        lambda row: number(pick(row)),
        lambda row: NONE if (figure := pick(row)) is None else text(figure),
        level=level_of,
        title=title,
        unit=unit,
    )


def _over(figure: Fig | None, limit: float) -> Level:
    """WARN where it surely is above the limit."""
    return Level.WARN if isinstance(figure, Figure) and figure.low > limit else Level.PLAIN


def _severity(row: FleetRow) -> Value:
    """Worst first, in the order of levels."""
    return {Level.BAD: 0.0, Level.WARN: 1.0, Level.UNKNOWN: 2.0, Level.GOOD: 3.0}.get(row.level, 4.0)


def fleet_columns(rows: Rows, *, ascii_only: bool = False) -> tuple[ColumnSpec[FleetRow], ...]:
    """For rows of that kind. A name is as wide as names of that kind are."""
    name_width = {Rows.NODES: 14, Rows.SLOTS: 18, Rows.INSTANCES: 20}[rows]

    def state_text(row: FleetRow) -> str:
        return f"{glyph(row.level, ascii_only=ascii_only)} {row.state}"

    return (
        ColumnSpec(
            rows.value.removesuffix("s"),
            0,
            name_width,
            lambda row: row.id,
            lambda row: row.id,
            Align.LEFT,
        ),
        ColumnSpec("state", 0, 11, lambda row: row.state, state_text, Align.LEFT, _severity, lambda row: row.level),
        ColumnSpec("pool", 1, 9, _pool, lambda row: str(_pool(row) or "-"), Align.LEFT),
        _figure("run", 4, 4, lambda row: row.running, brief_amount),
        _figure("wait", 2, 5, lambda row: row.waiting, brief_amount),
        _figure("kv", 3, 5, lambda row: row.kv_usage, brief_share, level=lambda row: _over(row.kv_usage, KV_FULL)),
        _figure("ttft", 2, 7, lambda row: row.ttft, brief_seconds, unit="s",
                level=lambda row: _over(row.ttft, row.slo.ttft_s)),
        _figure("itl99", 2, 7, lambda row: row.itl99, brief_seconds, unit="s",
                level=lambda row: _over(row.itl99, row.slo.itl_s)),
        _figure("out", 6, 6, lambda row: row.tokens_out, brief_amount, title="tok/s", unit="tokens/s"),
        _figure("in", 9, 6, lambda row: row.tokens_in, brief_amount, title="in/s", unit="tokens/s"),
        _figure("kvrate", 7, 8, lambda row: row.kv_rate, brief_amount, title="KV B/s", unit="bytes/s"),
        _figure("temp", 8, 5, lambda row: row.heat, brief_amount, title="GPU C", unit="C",
                level=lambda row: _over(row.heat, GPU_HOT_C)),
        _figure("vram", 10, 5, lambda row: row.vram, brief_share),
        _figure("power", 11, 6, lambda row: row.power, brief_amount, title="W", unit="W"),
        _figure("nicerr", 10, 6, lambda row: row.nic_errors, brief_amount, title="nic err",
                level=lambda row: _over(row.nic_errors, 0.0)),
        ColumnSpec("gen", 12, 4, _generation, lambda row: str(row.generation or "-")),
        ColumnSpec("age", 7, 6, lambda row: row.age_s, _age, level=_age_level),
        ColumnSpec("why", 5, 20, lambda row: row.why, lambda row: one_line(row.why), Align.LEFT, grows=True,
                   level=lambda row: row.level if row.why else Level.PLAIN),
    )  # fmt: skip


def _pool(row: FleetRow) -> str | None:
    return ",".join(row.pools) or None


def _generation(row: FleetRow) -> Value:
    return float(row.generation) if row.generation is not None else None


def _age_level(row: FleetRow) -> Level:
    return Level.DIM if row.old_s is None else Level.UNKNOWN


def _age(row: FleetRow) -> str:
    """Said once it matters: a figure that counts up every tick would be painted every tick."""
    if row.age_s is None:
        return "?"
    return duration(row.age_s) if row.old_s is not None else "now"
