"""One node in full, as lines: its engines, GPUs, NICs, units, what is wrong with it, and its last minutes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from pdctl.control.status import UnitView
from pdctl.health.finding import Finding, Verdict
from pdctl.model.role import Role
from pdctl.model.snapshot import NodeFigures, Snapshot
from pdctl.text.duration import duration
from pdctl.text.escape import one_line
from pdctl.tui.history import History
from pdctl.tui.levels import Level, glyph, of_alert
from pdctl.tui.node_tables import ENGINE, FINDING, GAP, GPU, NIC, UNIT, table
from pdctl.tui.plots import Plot, Room, plot_lines, say_amount, say_bytes, say_seconds
from pdctl.tui.spans import EMPTY, Ink, Inked, Span, beside, of_level, of_role

WIDE: Final = 120
"""From here on charts stand beside the figures, below it under them."""
CHART_COLUMNS: Final = 44
CHART_ROWS: Final = 6


@dataclass(frozen=True, slots=True)
class Asked:
    """What is not in a snapshot and was asked for: None: not yet. `trouble`: why it is not known."""

    units: tuple[UnitView, ...] | None = None
    units_trouble: str = ""
    findings: tuple[Finding, ...] | None = None
    findings_note: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """Everything that the lines are made of."""

    snapshot: Snapshot
    node: str
    history: History = field(default_factory=History)
    asked: Asked = Asked()


def node_lines(sheet: Sheet, room: Room) -> list[Inked]:
    """The whole, `room.columns` wide and as many lines as it takes."""
    wide = room.columns >= WIDE
    columns = room.columns - CHART_COLUMNS - GAP if wide else room.columns
    lines = [*_title(sheet), EMPTY, *_tables(sheet, columns)]
    plots = list(_plots(sheet))
    if not wide:
        half = (room.columns - GAP) // 2
        for pair in (plots[place : place + 2] for place in range(0, len(plots), 2)):
            blocks: list[tuple[Sequence[Inked], int]] = []
            for plot in pair:
                drawn = plot_lines(plot, sheet.history, Room(half, CHART_ROWS, room.ascii_only))
                blocks += [(drawn, half), ((), GAP)]
            lines += [EMPTY, *beside(blocks, CHART_ROWS)]
        return lines
    right: list[Inked] = []
    for plot in plots:
        right += [*plot_lines(plot, sheet.history, Room(CHART_COLUMNS, CHART_ROWS, room.ascii_only)), EMPTY]
    rows = max(len(lines), len(right))
    return list(beside([(lines, columns), ((), GAP), (right, CHART_COLUMNS)], rows))


def _title(sheet: Sheet) -> Iterator[Inked]:
    node = sheet.snapshot.nodes.get(sheet.node)
    if node is None:
        yield (Span(f"{sheet.node} is not part of the cluster any more", Ink.UNKNOWN),)
        return
    level = {True: Level.GOOD, False: Level.BAD, None: Level.UNKNOWN}[node.reachable]
    word = {True: "reachable", False: "out of reach", None: "not heard of yet"}[node.reachable]
    age = "never heard" if node.age_s is None else f"heard {duration(node.age_s)} ago"
    yield (
        Span(f"{node.name}  ", Ink.TITLE),
        Span(f"{glyph(level)} {word}", of_level(level)),
        Span(f"  {age}" if node.reachable is not True else "", Ink.DIM),
        Span(f"  {one_line(node.why)}" if node.why else "", of_level(level)),
    )
    for alert in sheet.snapshot.alerts:
        if alert.subject == node.name or alert.subject.startswith(f"{node.name}."):
            ink = of_level(of_alert(alert.level))
            sign = glyph(of_alert(alert.level))
            yield (Span(one_line(f"{sign} {alert.subject}: {alert.cause}"), ink),)
            if alert.hint:
                yield (Span(f"  {one_line(alert.hint)}", Ink.DIM),)


def _tables(sheet: Sheet, columns: int) -> Iterator[Inked]:
    node = sheet.snapshot.nodes.get(sheet.node)
    engines = [item for item in sheet.snapshot.instances.values() if item.node == sheet.node]
    yield from table("ENGINE", ENGINE, engines, columns, "no engine")
    if node is not None:
        yield EMPTY
        yield from table("GPU", GPU, node.gpus, columns, _unread(node))
        yield EMPTY
        yield from table("NIC", NIC, node.nics, columns, _unread(node))
    yield EMPTY
    asked = sheet.asked
    nothing = one_line(asked.units_trouble) or ("asking the node" if asked.units is None else "no unit of ours")
    yield from table("UNIT", UNIT, asked.units or (), columns, nothing)
    yield EMPTY
    wrong = [item for item in asked.findings or () if item.verdict is not Verdict.PASS]
    passed = f"{len(asked.findings)} checks passed" if asked.findings else "not checked: `c` checks this node now"
    yield from table("HEALTH", FINDING, wrong, columns, asked.findings_note or passed)


def _unread(node: NodeFigures) -> str:
    return "none are read" if node.reachable else "not known: the node is out of reach"


def _plots(sheet: Sheet) -> Iterator[Plot]:
    """Charts of the node's engines and hardware, those that there are figures for."""
    for engine in (item for item in sheet.snapshot.instances.values() if item.node == sheet.node):
        ink = of_role(engine.role)
        if engine.role is not Role.PREFILL:
            yield Plot(f"{engine.name} tok/s out", ("instance", engine.name, "tokens_out"), say_amount, ink)
            yield Plot(f"{engine.name} ITL p99", ("instance", engine.name, "itl_p99"), say_seconds, ink)
        else:
            yield Plot(f"{engine.name} tok/s in", ("instance", engine.name, "tokens_in"), say_amount, ink)
            yield Plot(f"{engine.name} TTFT p99", ("instance", engine.name, "ttft_p99"), say_seconds, ink)
        break
    node = sheet.snapshot.nodes.get(sheet.node)
    if node is not None and node.nics:
        yield Plot(
            "NICs out, in below", ("node", node.name, "tx_bytes"), say_bytes, down=("node", node.name, "rx_bytes")
        )
    if node is not None and node.gpus:
        yield Plot("hottest GPU, C", ("node", node.name, "temperature_c"), say_amount)
