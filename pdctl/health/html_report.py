"""One HTML file to hand to the hardware team: what is wrong with which device of which node, and what shows it.

Self-contained: no script, no font, no link to anything outside, so that it can be mailed and opened anywhere. All text
from nodes is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html import escape

from pdctl.health.envelope import Envelope
from pdctl.health.finding import Finding, Verdict
from pdctl.health.report import Fitness, Report, SlotVerdict, urgency

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:76rem;padding:0 1rem;color:#1d1d1f;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem}table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.4rem .7rem;border-bottom:1px solid #d8d8dc}
th{font-weight:600;background:#f4f4f6}code,pre{font:13px/1.45 ui-monospace,monospace}
pre{background:#f4f4f6;padding:.5rem .7rem;white-space:pre-wrap;overflow-wrap:anywhere;margin:.3rem 0}
.tag{display:inline-block;padding:0 .5rem;border-radius:.3rem;font-weight:600;white-space:nowrap}
.blocks{background:#b3261e;color:#fff}.warns{background:#8a5a00;color:#fff}.unknown{background:#50505a;color:#fff}
.info{background:#dfe7f5;color:#1d1d1f}.passed{background:#1e6b3a;color:#fff}.quiet{color:#5c5c66}
@media print{body{margin:0;max-width:none}details{display:block}}
"""

_TAGS = ("blocks", "blocks", "warns", "unknown", "info", "info", "passed")
_WORDS = ("blocks", "blocks (unknown)", "warns", "unknown", "drift", "unknown", "passed")
_FITNESS = {Fitness.FIT: "passed", Fitness.BLOCKED: "blocks", Fitness.UNKNOWN: "unknown"}


def html_report(report: Report, *, cluster: str, when: str, envelopes: Mapping[str, Envelope] | None = None) -> str:
    """The file's text. `when` is the moment of the check as it should be read; `envelopes` identify the machines."""
    title = f"Health of {cluster}, {when}"
    parts = [
        _summary(report),
        _slots(report.slots),
        *_nodes(report, envelopes or {}),
        _passed(report.findings),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def _summary(report: Report) -> str:
    blocked = [slot for slot in report.slots if not slot.may_serve]
    nodes = f"{len(report.nodes)} nodes checked"
    lost = f", {len(report.unreachable)} not reached" if report.unreachable else ""
    fit = f"{len(report.slots) - len(blocked)} of {len(report.slots)} slots may serve"
    return f"<p>{nodes}{lost}. {fit}. {len(report.blocking)} findings block.</p>"


def _slots(slots: Iterable[SlotVerdict]) -> str:
    rows = []
    for slot in slots:
        causes = [f"{finding.check} on {_device(finding)}" for finding in slot.blockers]
        causes += [slot.trouble.cause] if slot.trouble is not None and not causes else []
        word = _tag(_FITNESS[slot.fitness], "may serve" if slot.may_serve else slot.fitness.value)
        rows.append(f"<tr><td>{escape(slot.slot)}</td><td>{word}</td><td>{escape('; '.join(causes))}</td></tr>")
    return f"<h2>Slots</h2>\n{_table(('slot', 'verdict', 'because'), rows)}"


def _nodes(report: Report, envelopes: Mapping[str, Envelope]) -> Iterator[str]:
    for node in (*report.nodes, *sorted(report.unreachable)):
        findings = [finding for finding in report.of_node(node) if finding.verdict is not Verdict.PASS]
        if findings:
            yield f"<h2>{escape(node)}</h2>\n{_identity(envelopes.get(node))}{_findings(findings)}"


def _identity(envelope: Envelope | None) -> str:
    if envelope is None:
        return ""
    known = {
        "host": envelope.host,
        "machine id": envelope.machine_id,
        "boot id": envelope.boot_id,
        "kernel": envelope.kernel,
    }
    text = ", ".join(f"{name} {value}" for name, value in known.items() if value)
    return f'<p class="quiet">{escape(text)}</p>\n' if text else ""


def _findings(findings: Iterable[Finding]) -> str:
    rows = [
        f"<tr><td>{_tag(_TAGS[urgency(finding)], _WORDS[urgency(finding)])}</td>"
        f"<td>{escape(finding.title)}<br><code>{escape(finding.check)}</code></td>"
        f"<td>{escape(finding.subject.device or 'node')}</td>"
        f"<td>{escape(finding.observed)}{_aside(finding.why)}</td><td>{escape(finding.expected)}</td>"
        f"<td>{_evidence(finding)}{_fix(finding)}</td></tr>"
        for finding in findings
    ]
    return _table(("", "check", "device", "observed", "expected", "evidence and fix"), rows)


def _evidence(finding: Finding) -> str:
    shown = []
    for each in finding.evidence:
        excerpt = f"<pre>{escape(each.excerpt)}</pre>" if each.excerpt else ""
        shown.append(f"<code>{escape(each.source)}</code>{excerpt}")
    return "".join(shown)


def _fix(finding: Finding) -> str:
    return f"<pre>{escape(finding.fix)}</pre>" if finding.fix else ""


def _passed(findings: Iterable[Finding]) -> str:
    """What passed, by check, folded: how much was looked at says how much silence is worth."""
    by_check: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.verdict is Verdict.PASS:
            by_check.setdefault(finding.check, []).append(finding)
    rows = []
    for check, passed in sorted(by_check.items()):
        nodes = len({finding.subject.node for finding in passed})
        counts = f"{len(passed)} subjects on {nodes} nodes"
        rows.append(f"<tr><td>{escape(passed[0].title)}<br><code>{escape(check)}</code></td><td>{counts}</td></tr>")
    return f"<details><summary>What passed: {len(rows)} checks</summary>\n{_table(('check', 'passed'), rows)}</details>"


def _device(finding: Finding) -> str:
    subject = finding.subject
    return f"{subject.node}/{subject.device}" if subject.device else subject.node


def _tag(kind: str, word: str) -> str:
    return f'<span class="tag {kind}">{escape(word)}</span>'


def _aside(text: str) -> str:
    return f'<br><span class="quiet">{escape(text)}</span>' if text else ""


def _table(heads: tuple[str, ...], rows: Iterable[str]) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(rows) + "\n</tbody>\n</table>"
