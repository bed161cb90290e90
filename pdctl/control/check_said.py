"""What a check found, as events: for `up`'s gate and for playbooks."""

from __future__ import annotations

from pdctl.control.check import Checked
from pdctl.health.report import Report
from pdctl.model.events import CheckEnded, CheckFailed


def failed_checks(report: Report) -> tuple[CheckFailed, ...]:
    """Every finding that keeps a slot from serving."""
    return tuple(
        CheckFailed(
            finding.check,
            finding.subject.node,
            finding.subject.device,
            finding.slots,
            finding.observed,
            finding.expected,
            finding.fix,
        )
        for finding in report.blocking
    )


def check_ended(checked: Checked) -> CheckEnded:
    """The end of the check: who may not serve, and how much else there is to see."""
    report = checked.report
    unfit = tuple(slot.slot for slot in report.slots if not slot.may_serve)
    warnings = sum(1 for finding in report.problems if not finding.blocks)
    return CheckEnded(len(report.nodes), unfit, warnings, checked.took_s)
