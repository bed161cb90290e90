"""A check's report as text: what to do first comes first. Pure; the same finding on many nodes is one entry."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from pdctl.health.finding import Finding, Verdict
from pdctl.health.report import Fitness, Report, SlotVerdict, urgency
from pdctl.text.duration import duration
from pdctl.text.escape import log_line, one_line

HEADINGS = {
    0: ("!", "keeps slots from serving"),
    1: ("!", "must be known, and is not"),
    2: ("~", "should be looked at"),
    3: ("?", "could not be found out"),
    4: ("i", "differs"),
    5: ("i", "could not be compared"),
    6: (" ", "passed"),
}
NAMED = 6  # subjects that one entry names
EVIDENCE_LINES = 4
SHOWN_QUIETLY = (0, 1, 2, 4)
"""Kinds that are always spelled out; of the others only how many there are, without -v."""


def report_lines(report: Report, *, took_s: float = 0.0, verbose: bool = False) -> list[str]:
    """The whole report: what blocks, what warns, what drifts, then every slot that is not fit."""
    lines = [_headline(report, took_s)]
    for node, trouble in report.unreachable.items():
        lines.append(f"? {node}: {one_line(trouble.cause)}; nothing is known of it")
        if trouble.hint:
            lines.append(f"    hint: {one_line(trouble.hint)}")
    counted: list[str] = []
    for kind, group in groupby(report.findings, key=urgency):
        findings = list(group)
        sign, heading = HEADINGS[kind]
        if kind in SHOWN_QUIETLY or verbose:
            lines += ["", f"{heading}:", *_entries(findings, sign, verbose=verbose)]
        else:
            counted.append(f"{len(findings)} {heading}")
    unfit = [slot for slot in report.slots if not slot.may_serve]
    if unfit:
        lines += ["", "slots that may not serve:", *(_slot_line(slot) for slot in unfit)]
    if counted:
        lines += ["", f"{', '.join(counted)} (-v shows them)"]
    return lines


def _headline(report: Report, took_s: float) -> str:
    unfit = sum(1 for slot in report.slots if not slot.may_serve)
    total = len(report.slots)
    fit = f"all {_count(total, 'slot')} may serve" if not unfit else f"{unfit} of {_count(total, 'slot')} may not serve"
    took = f" in {duration(took_s)}" if took_s else ""
    return f"{_count(len(report.nodes), 'node')} checked{took}: {fit}"


def _entries(findings: Iterable[Finding], sign: str, *, verbose: bool) -> Iterator[str]:
    alike: dict[tuple[str, ...], list[Finding]] = {}
    for finding in findings:
        alike.setdefault(_likeness(finding), []).append(finding)
    for group in alike.values():
        yield from _entry(group, sign, verbose=verbose)


def _likeness(finding: Finding) -> tuple[str, ...]:
    """Findings that are said in one breath: the same words, but about other nodes or devices."""
    nodes = (finding.subject.node,)
    fix = finding.fix.replace(nodes[0], "*") if nodes[0] else finding.fix
    return (finding.check, finding.observed, finding.expected, fix, finding.why)


def _entry(group: Sequence[Finding], sign: str, *, verbose: bool) -> Iterator[str]:
    first = group[0]
    observed = one_line(first.observed)
    expected = f", expected {one_line(first.expected)}" if first.expected and first.verdict is not Verdict.PASS else ""
    yield f"{sign} {subjects(group)}: {first.check}: {observed}{expected}"
    if first.verdict is Verdict.PASS:
        return
    if first.why:
        yield f"    why: {one_line(first.why)}"
    for evidence in first.evidence if verbose else first.evidence[:1]:
        lines = [line for line in evidence.excerpt.splitlines() if line.strip()][:EVIDENCE_LINES]
        if len(lines) > 1 or (lines and verbose):
            yield f"    {one_line(evidence.source)}:"
            yield from (f"      | {log_line(line)}" for line in lines)
        else:
            yield f"    seen in: {one_line(evidence.source)}"
    if first.fix:
        yield f"    fix: {one_line(first.fix)}"


def subjects(group: Sequence[Finding]) -> str:
    """`n3`, `n3 gpu2`, `n[1-3]`, or the first few and how many more."""
    named = [f"{each.subject.node} {each.subject.device}".strip() for each in group]
    if all(not each.subject.device for each in group):
        named = folded([each.subject.node for each in group])
    else:
        by_node: dict[str, list[str]] = {}
        for each in group:
            by_node.setdefault(each.subject.node, []).append(each.subject.device)
        on: dict[str, list[str]] = {}
        for node, devices in by_node.items():
            on.setdefault(",".join(folded(devices)), []).append(node)
        named = [f"{','.join(folded(nodes))} {devices}".strip() for devices, nodes in on.items()]
    more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
    return ", ".join(named[:NAMED]) + more


def folded(names: Sequence[str]) -> list[str]:
    """`gpu0, gpu1, gpu2, x` as `gpu[0-2], x`: runs of three or more."""
    found: list[str] = []
    run: list[str] = []
    for name in [*names, ""]:
        if run and _follows(run[-1], name):
            run.append(name)
            continue
        found += _run_text(run)
        run = [name] if name else []
    return found


def _follows(one: str, other: str) -> bool:
    left, right = re.fullmatch(r"(.*?)(\d+)", one), re.fullmatch(r"(.*?)(\d+)", other)
    if left is None or right is None or left[1] != right[1] or len(left[2]) > len(right[2]):
        return False
    return int(right[2]) == int(left[2]) + 1


def _run_text(run: list[str]) -> list[str]:
    if len(run) < 3:
        return run
    first, last = re.fullmatch(r"(.*?)(\d+)", run[0]), re.fullmatch(r"(.*?)(\d+)", run[-1])
    assert first is not None
    assert last is not None
    return [f"{first[1]}[{first[2]}-{last[2]}]"]


def _slot_line(slot: SlotVerdict) -> str:
    if slot.trouble is not None:
        return f"  {slot.slot}: unknown, {one_line(slot.trouble.cause)}"
    names = ", ".join(dict.fromkeys(finding.check for finding in slot.blockers))
    word = "unknown" if slot.fitness is Fitness.UNKNOWN else "no"
    return f"  {slot.slot}: {word}, {names}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
