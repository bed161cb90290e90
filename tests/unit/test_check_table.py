"""The table of a check: what to do first comes first, and what many nodes share is said once."""

from __future__ import annotations

import pytest

from pdctl.cli.check_table import folded, report_lines
from pdctl.health.finding import Evidence, Finding, Severity, Subject, Verdict
from pdctl.health.report import Fitness, Report, SlotVerdict, by_urgency
from pdctl.model.observed import Trouble


def finding(
    check: str,
    node: str,
    device: str = "",
    *,
    verdict: Verdict = Verdict.FAIL,
    severity: Severity = Severity.BLOCK,
    observed: str = "bad",
    fix: str = "",
) -> Finding:
    return Finding(
        check,
        verdict,
        severity,
        Subject(node, "", device),
        observed,
        "good",
        (Evidence("/sys/x", observed),),
        fix,
        slots=(f"{node}.main",),
    )


def report(*findings: Finding, **unreachable: Trouble) -> Report:
    nodes = sorted({each.subject.node for each in findings})
    slots = tuple(
        SlotVerdict(f"{node}.main", node, Fitness.BLOCKED if blockers else Fitness.FIT, blockers)
        for node in nodes
        for blockers in [tuple(each for each in findings if each.blocks and each.subject.node == node)]
    )
    lost = tuple(SlotVerdict(f"{n}.main", n, Fitness.UNKNOWN, trouble=why) for n, why in unreachable.items())
    return Report(tuple(sorted(findings, key=by_urgency)), (*slots, *lost), tuple(nodes), unreachable)


def test_what_blocks_comes_before_what_warns_and_what_passed_is_counted() -> None:
    lines = report_lines(
        report(
            finding("host.iommu", "n1", severity=Severity.WARN),
            finding("gpu.count", "n2", verdict=Verdict.PASS),
            finding("nic.gid", "n1", "mlx5_1", fix="show_gids"),
        )
    )
    assert lines[0] == "2 nodes checked: 1 of 2 slots may not serve"
    assert [line for line in lines if line[:1] in "!~"] == [
        "",
        "! n1 mlx5_1: nic.gid: bad, expected good",
        "",
        "~ n1: host.iommu: bad, expected good",
        "",
        "",
    ]
    assert "    fix: show_gids" in lines
    assert "  n1.main: no, nic.gid" in lines
    assert lines[-1] == "1 passed (-v shows them)"


def test_one_fault_of_many_nodes_is_said_once() -> None:
    lines = report_lines(report(*(finding("host.shm", f"n{number}", "/dev/shm") for number in range(1, 6))))
    assert [line for line in lines if line.startswith("!")] == ["! n[1-5] /dev/shm: host.shm: bad, expected good"]


def test_a_node_that_cannot_be_asked_is_said_at_once() -> None:
    lines = report_lines(report(finding("gpu.count", "n1", verdict=Verdict.PASS), n2=Trouble("no route", "is it on?")))
    assert lines[1:3] == ["? n2: no route; nothing is known of it", "    hint: is it on?"]
    assert "  n2.main: unknown, no route" in lines


def test_text_of_nodes_cannot_drive_the_terminal() -> None:
    lines = report_lines(report(finding("gpu.driver", "n1", observed="\x1b[2Jgone")))
    assert not any("\x1b" in line for line in lines)


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["n1"], ["n1"]),
        (["n1", "n2"], ["n1", "n2"]),
        (["n1", "n2", "n3", "n5"], ["n[1-3]", "n5"]),
        (["n09", "n10", "n11"], ["n[09-11]"]),
        (["a1", "b2", "b3"], ["a1", "b2", "b3"]),
        (["gpu", "x"], ["gpu", "x"]),
    ],
)
def test_runs_of_names_are_folded_as_selectors_take_them(names: list[str], shown: list[str]) -> None:
    assert folded(names) == shown
