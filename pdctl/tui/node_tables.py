"""The tables of one node: what is said of an engine, a GPU, a NIC, a unit, a finding, column by column. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeAlias, TypeVar

from pdctl.control.status import UnitView
from pdctl.health.finding import Finding, Severity, Verdict
from pdctl.model.figure import Fig, Figure
from pdctl.model.snapshot import WINDOWS_S, GpuFigures, InstanceFigures, NicFigures, Vital
from pdctl.text.figures import amount, seconds, share
from pdctl.tui.fleet_columns import GPU_HOT_C
from pdctl.tui.levels import Level, glyph, of_instance
from pdctl.tui.spans import Ink, Inked, Span, cell, of_level, of_role

R = TypeVar("R")

WINDOW_S: Final = WINDOWS_S[0]
GAP: Final = 2
NARROWEST: Final = 4
NIC_DOWN: Final = "DOWN"

Made: TypeAlias = tuple[str, Ink]


@dataclass(frozen=True, slots=True)
class Column(Generic[R]):
    """A column: its header, its width (0: what is left), what a cell says of a row."""

    title: str
    width: int
    make: Callable[[R], Made]
    right: bool = True


def table(name: str, columns: Sequence[Column[R]], rows: Sequence[R], width: int, nothing: str) -> Iterator[Inked]:
    """A header and a line a row, or `nothing`; columns that do not fit are left out, from the right."""
    if not rows:
        yield (Span(f"{name:<13}  ", Ink.DIM), Span(nothing, Ink.DIM))
        return
    fits: list[tuple[Column[R], int]] = []
    left = width
    for column in columns:
        size = column.width or left
        if size > left or size < NARROWEST - 1:
            break
        fits.append((column, size))
        left -= size + GAP
    titles = [name, *(column.title for column, _ in fits[1:])]
    yield _line([(title, Ink.DIM) for title in titles], fits)
    for row in rows:
        yield _line([column.make(row) for column, _ in fits], fits)


def _line(cells: Sequence[Made], fits: Sequence[tuple[Column[R], int]]) -> Inked:
    spans: list[Span] = []
    for (text, ink), (column, size) in zip(cells, fits, strict=True):
        spans += [cell(text, size, ink, right=column.right), Span(" " * GAP)]
    return tuple(spans[:-1])


def _said(
    text: Callable[[Fig], str], pick: Callable[[R], Fig], bad: Callable[[Figure], bool] | None = None
) -> Callable[[R], Made]:
    def make(row: R) -> Made:
        figure = pick(row)
        if not isinstance(figure, Figure):
            return "?", Ink.UNKNOWN
        return text(figure), Ink.BAD if bad is not None and bad(figure) else Ink.BASE

    return make


def _with(unit: str) -> Callable[[Fig], str]:
    return lambda figure: amount(figure, unit)


def _some(figure: Figure) -> bool:
    return figure.low > 0


def _vital(engine: InstanceFigures) -> Made:
    level = of_instance(engine)
    word = engine.vital.value
    if engine.vital is Vital.UP:
        word = {True: "ready", False: "no member", None: "member?"}[engine.member]
    return f"{glyph(level)} {word}", of_level(level)


def _verdict(finding: Finding) -> Made:
    failed = Level.BAD if finding.severity is Severity.BLOCK else Level.WARN
    level = Level.UNKNOWN if finding.verdict is Verdict.UNKNOWN else failed
    return f"{glyph(level)} {finding.verdict.value}", of_level(level)


ENGINE: Final[tuple[Column[InstanceFigures], ...]] = (
    Column("", 13, lambda row: (row.name, Ink.BASE), right=False),
    Column("state", 11, _vital, right=False),
    Column("role", 7, lambda row: (row.role.value, of_role(row.role)), right=False),
    Column("gen", 3, lambda row: (str(row.generation), Ink.BASE)),
    Column("run", 4, _said(amount, lambda row: row.load.running)),
    Column("wait", 4, _said(amount, lambda row: row.load.waiting)),
    Column("kv", 4, _said(share, lambda row: row.load.kv_usage)),
    Column("ttft", 7, _said(seconds, lambda row: row.windows[WINDOW_S].latencies.ttft.mean)),
    Column("tok/s", 6, _said(amount, lambda row: row.windows[WINDOW_S].flow.tokens_out)),
    Column("itl p99", 11, _said(seconds, lambda row: row.windows[WINDOW_S].latencies.itl.p99)),
    Column("why", 0, lambda row: (row.why, Ink.WARN), right=False),
)
GPU: Final[tuple[Column[GpuFigures], ...]] = (
    Column("", 13, lambda row: (f"gpu{row.index}", Ink.BASE), right=False),
    Column("VRAM", 7, _said(_with("B"), lambda row: row.vram_used_bytes)),
    Column("of", 7, _said(_with("B"), lambda row: row.vram_total_bytes)),
    Column("busy", 5, _said(share, lambda row: row.busy)),
    Column("temp", 6, _said(_with(" C"), lambda row: row.temperature_c, lambda figure: figure.low > GPU_HOT_C)),
    Column("power", 7, _said(_with(" W"), lambda row: row.power_w)),
    Column("ECC lost", 8, _said(amount, lambda row: row.ecc_uncorrectable, _some)),
)
NIC: Final[tuple[Column[NicFigures], ...]] = (
    Column("", 13, lambda row: (row.device, Ink.BASE), right=False),
    Column("state", 8, lambda row: (row.state or "?", Ink.BAD if row.state == NIC_DOWN else Ink.BASE), right=False),
    Column("port", 8, _said(_with("Gb/s"), lambda row: row.rate_gbps)),
    Column("out", 9, _said(_with("B/s"), lambda row: row.tx_bytes)),
    Column("in", 9, _said(_with("B/s"), lambda row: row.rx_bytes)),
    Column("new errors", 10, _said(amount, lambda row: row.errors, _some)),
)
UNIT: Final[tuple[Column[UnitView], ...]] = (
    Column("", 13, lambda row: (row.name, Ink.BASE), right=False),
    Column("state", 12, lambda row: (row.state.value, Ink.BASE), right=False),
    Column("gen", 3, lambda row: ("-" if row.generation is None else str(row.generation), Ink.BASE)),
    Column("pid", 7, lambda row: ("-" if row.pid is None else str(row.pid), Ink.BASE)),
    Column("endpoint", 21, lambda row: (row.endpoint or "-", Ink.BASE), right=False),
    Column("why", 0, lambda row: (row.why, Ink.WARN), right=False),
)
FINDING: Final[tuple[Column[Finding], ...]] = (
    Column("", 13, lambda row: (row.subject.device or row.subject.slot or "node", Ink.BASE), right=False),
    Column("verdict", 9, _verdict, right=False),
    Column("check", 24, lambda row: (row.check, Ink.BASE), right=False),
    Column("observed", 0, lambda row: (row.observed or row.why, Ink.BASE), right=False),
)
