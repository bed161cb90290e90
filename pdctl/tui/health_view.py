"""What is wrong, in one list: alerts that stand, what the last check found, nodes that nobody could ask. Pure.

What passed is counted, and listed only where somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pdctl.health.finding import Finding, Verdict
from pdctl.health.report import Fitness, Report, urgency
from pdctl.model.observed import Trouble
from pdctl.model.snapshot import Alert, AlertLevel, Snapshot
from pdctl.text.duration import duration
from pdctl.text.escape import log_line, one_line
from pdctl.tui.columns import Align, ColumnSpec
from pdctl.tui.levels import Level, glyph, of_alert
from pdctl.tui.spans import EMPTY, Ink, Inked, Span, of_level, wrapped

_FOUND: Final = (
    (Level.BAD, "blocks"),
    (Level.UNKNOWN, "must be known"),
    (Level.WARN, "warns"),
    (Level.UNKNOWN, "unknown"),
    (Level.DIM, "differs"),
    (Level.DIM, "uncompared"),
    (Level.GOOD, "passed"),
)
"""By `health.report.urgency`."""
_ALERTED: Final = {AlertLevel.PAGE: (0, "page"), AlertLevel.WARN: (2, "alert"), AlertLevel.INFO: (4, "note")}
PASSED: Final = 6
UNREACHED: Final = 1


@dataclass(frozen=True, slots=True)
class HealthRow:
    """One line of the list. `urgency`: 0 first. `since_s`: wall time, None for findings, which are of the check's."""

    id: str
    urgency: int
    level: Level
    word: str
    node: str
    about: str
    what: str
    since_s: float | None
    now_s: float
    detail: tuple[tuple[str, str], ...]  # (heading, text); a text may have several lines

    @property
    def order(self) -> str:
        """What to act on first, first; stable while nothing changes."""
        return f"{self.urgency} {self.id}"


def health_rows(
    snapshot: Snapshot | None, report: Report | None, now_s: float, *, passed: bool = False
) -> tuple[HealthRow, ...]:
    """Alerts of the snapshot, and the findings of the report."""
    rows: list[HealthRow] = []
    if snapshot is not None:
        rows += [_alert_row(alert, snapshot, now_s) for alert in snapshot.alerts]
    if report is not None:
        rows += [_unreached(node, trouble, now_s) for node, trouble in report.unreachable.items()]
        rows += [
            _finding_row(finding, place, now_s)
            for place, finding in enumerate(report.findings)
            if passed or finding.verdict is not Verdict.PASS
        ]
    return tuple(rows)


def _alert_row(alert: Alert, snapshot: Snapshot, now_s: float) -> HealthRow:
    rank, word = _ALERTED[alert.level]
    instance = snapshot.instances.get(alert.subject)
    node = instance.node if instance is not None else alert.subject if alert.subject in snapshot.nodes else ""
    again = f"came and went {alert.folded} times" if alert.folded else ""
    since = f"{duration(max(0.0, now_s - alert.since_s))} ago"
    detail = (("alert", f"{alert.subject}: {alert.cause}"), ("do", alert.hint), ("since", since), ("folded", again))
    return HealthRow(
        f"alert {alert.id}", rank, of_alert(alert.level), word, node, alert.subject, alert.cause, alert.since_s, now_s,
        detail,
    )  # fmt: skip


def _unreached(node: str, trouble: Trouble, now_s: float) -> HealthRow:
    detail = (("node", f"{node}: {trouble.cause}"), ("do", trouble.hint), ("so", "its slots may not serve: unknown"))
    what = f"could not be asked: {trouble.cause}"
    return HealthRow(f"node {node}", UNREACHED, Level.UNKNOWN, "unreached", node, "node", what, None, now_s, detail)


def _finding_row(finding: Finding, place: int, now_s: float) -> HealthRow:
    rank = urgency(finding)
    level, word = _FOUND[rank]
    subject = finding.subject
    expected = f", expected {finding.expected}" if finding.expected and finding.verdict is not Verdict.PASS else ""
    name = f"{finding.check} {subject.node} {subject.slot} {subject.device} {place}"
    about = f"{finding.check} {subject.device}".strip()
    what = f"{finding.observed}{expected}"
    return HealthRow(name, rank, level, word, subject.node, about, what, None, now_s, _finding_detail(finding))


def _finding_detail(finding: Finding) -> tuple[tuple[str, str], ...]:
    subject = finding.subject
    where = " ".join(part for part in (subject.node, subject.slot, subject.device) if part)
    evidence = [("evidence", f"{item.source}:\n{item.excerpt}") for item in finding.evidence]
    return (
        (finding.verdict.value, f"{finding.title or finding.check} on {where}"),
        ("observed", finding.observed),
        ("expected", finding.expected),
        ("why", finding.why),
        ("fix", finding.fix),
        ("slots", ", ".join(finding.slots) if finding.blocks else ""),
        *evidence,
    )


def health_columns(*, ascii_only: bool) -> tuple[ColumnSpec[HealthRow], ...]:
    """How bad, where, what about, what."""
    return (
        ColumnSpec(
            "state",
            0,
            15,
            lambda row: row.word,
            lambda row: f"{glyph(row.level, ascii_only=ascii_only)} {row.word}",
            Align.LEFT,
            sort_key=lambda row: row.order,
            level=lambda row: row.level,
        ),
        ColumnSpec("node", 0, 10, lambda row: row.node, lambda row: row.node, Align.LEFT),
        ColumnSpec("about", 0, 24, lambda row: row.about, lambda row: one_line(row.about), Align.LEFT),
        ColumnSpec(
            "since", 2, 6, lambda row: _age_s(row), lambda row: _age(row), level=lambda row: Level.DIM, unit="s"
        ),
        ColumnSpec("what", 1, 20, lambda row: row.what, lambda row: one_line(row.what), Align.LEFT, grows=True),
    )


def _age_s(row: HealthRow) -> float | None:
    return None if row.since_s is None else max(0.0, row.now_s - row.since_s)


def _age(row: HealthRow) -> str:
    age_s = _age_s(row)
    return "" if age_s is None else duration(age_s)


@dataclass(frozen=True, slots=True)
class Checking:
    """How the check stands: when the last one ended (wall clock), since when one is under way, why the last failed."""

    ended_s: float | None = None
    began_s: float | None = None
    trouble: str = ""


def summary(report: Report | None, rows: Sequence[HealthRow], checking: Checking, now_s: float) -> Inked:
    """`HEALTH  4 of 5 slots may serve · 217 passed on 5 nodes, 2m05s ago · 2 alerts`."""
    alerts = sum(1 for row in rows if row.since_s is not None)
    line: tuple[Span, ...] = (Span("HEALTH ", Ink.TITLE),)
    for text, ink in _summary(report, checking, now_s):
        line = (*line, Span(" "), Span(text, ink))
    return (*line, Span(f" · {alerts} alert{'' if alerts == 1 else 's'}", Ink.WARN if alerts else Ink.DIM))


def _summary(report: Report | None, checking: Checking, now_s: float) -> Iterator[tuple[str, Ink]]:
    if checking.began_s is not None:
        yield f"checking all nodes, {duration(now_s - checking.began_s)} …", Ink.TITLE
    if checking.trouble:
        yield f"{glyph(Level.WARN)} the check failed: {one_line(checking.trouble)}", Ink.WARN
    if report is None or checking.ended_s is None:
        if checking.began_s is None and not checking.trouble:
            yield "not checked yet", Ink.DIM
        return
    fit = [slot for slot in report.slots if slot.fitness is Fitness.FIT]
    blocked = any(slot.fitness is Fitness.BLOCKED for slot in report.slots)
    ink = Ink.GOOD if len(fit) == len(report.slots) else Ink.BAD if blocked else Ink.UNKNOWN
    yield f"{len(fit)} of {len(report.slots)} slots may serve", ink
    passed = sum(1 for finding in report.findings if finding.verdict is Verdict.PASS)
    age = duration(now_s - checking.ended_s)
    yield f"· {passed} passed on {len(report.nodes)} nodes, {age} ago", Ink.DIM


HEADING: Final = 10


def detail_lines(row: HealthRow | None, columns: int, *, checked: bool = True) -> tuple[Inked, ...]:
    """All of one row: what to do comes before the evidence, which keeps its lines."""
    if row is None:
        text = "nothing is wrong that is known of" if checked else "no check has ended yet, and no alert stands"
        return ((Span(text, Ink.DIM),),)
    lines: list[Inked] = []
    for heading, text in row.detail:
        if not text:
            continue
        first, *rest = _texts(text, columns - HEADING)
        ink = of_level(row.level) if not lines else Ink.BASE
        lines.append((Span(f"{one_line(heading)[: HEADING - 1]:{HEADING}}", Ink.DIM), Span(first, ink)))
        lines += [(Span(" " * HEADING), Span(line, ink)) for line in rest]
    return tuple(lines) or (EMPTY,)


def _texts(text: str, columns: int) -> list[str]:
    """Lines of an excerpt stay lines, with their indentation; each is wrapped."""
    lines: list[str] = []
    for line in map(log_line, text.splitlines() or [""]):
        indent = " " * min(len(line) - len(line.lstrip()), columns // 2)
        lines += [indent + part for part in wrapped(line, columns - len(indent)) or [""]]
    return lines
