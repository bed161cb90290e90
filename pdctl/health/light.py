"""The light look while engines serve, every 10-30 s: what goes wrong under load, as alerts that stand till disproved.

Only checks that a LIGHT collection can answer are judged: memory errors, heat, ports, links, counters, the kernel's
log. An alert goes when its check passes. Where the next look does not know, the alert stays: silence is no recovery.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Final

from pdctl.health.finding import Finding, Severity, Verdict
from pdctl.health.registry import Registry
from pdctl.health.report import Report
from pdctl.model.snapshot import Alert, AlertLevel

LIGHT_CHECKS: Final = (
    "reach.ssh",
    "gpu.ecc_*",
    "gpu.bad_pages",
    "gpu.temperature",
    "gpu.power_cap",
    "gpu.pcie_link",
    "gpu.pcie_errors",
    "gpu.kernel_log",
    "nic.present",
    "nic.port_state",
    "nic.rate",
    "nic.gid",
    "nic.link_flaps",
    "nic.errors",
    "host.kernel_log",
    "host.ram",
)
"""Checks of what changes while a node serves and what a LIGHT collection holds; patterns of ids."""

_LEVELS = {Severity.BLOCK: AlertLevel.PAGE, Severity.WARN: AlertLevel.WARN, Severity.INFO: AlertLevel.INFO}


def light_registry(registry: Registry) -> Registry:
    """The checks of `registry` that the light look judges; nothing that compares nodes but who was reached."""

    def light(check: str) -> bool:
        return any(fnmatchcase(check, pattern) for pattern in LIGHT_CHECKS)

    return Registry(
        checks=tuple(check for check in registry.checks if light(check.id)),
        fleet=tuple(check for check in registry.fleet if light(check.id)),
    )


def alert_id(finding: Finding) -> str:
    """Stable while the condition lasts."""
    subject = finding.subject
    return ":".join(part for part in (finding.check, subject.node, subject.device) if part)


def light_alerts(report: Report, standing: Mapping[str, Alert], now_s: float) -> Mapping[str, Alert]:
    """The alerts that stand after `report`, by id. `standing` are those before it; `now_s` is wall time.

    A failure raises one. A node that cannot be reached raises one too, since nobody watches it then.
    """
    known: dict[str, Finding] = {}
    for finding in report.findings:  # worst first, so that it speaks for its subject
        known.setdefault(alert_id(finding), finding)
    after: dict[str, Alert] = {}
    for name, finding in known.items():
        before = standing.get(name)
        if finding.verdict is Verdict.FAIL or _unreached(finding):
            after[name] = _alert(name, finding, before.since_s if before is not None else now_s)
    for name, alert in standing.items():
        found = known.get(name)
        if name not in after and (found is None or found.verdict is Verdict.UNKNOWN):
            after[name] = replace(alert, cause=_doubted(alert.cause))
    return after


def _unreached(finding: Finding) -> bool:
    return finding.check == "reach.ssh" and finding.verdict is Verdict.UNKNOWN


def _alert(name: str, finding: Finding, since_s: float) -> Alert:
    subject = finding.subject
    where = f"{subject.node}/{subject.device}" if subject.device else subject.node
    wanted = f", expected {finding.expected}" if finding.expected and finding.verdict is Verdict.FAIL else ""
    why = finding.why if finding.verdict is Verdict.UNKNOWN else ""
    cause = f"{finding.title}: {finding.observed}{wanted}{f' ({why})' if why else ''}"
    return Alert(name, _LEVELS[finding.severity], where, cause, finding.fix, since_s)


_DOUBT: Final = " (last known: it cannot be read now)"


def _doubted(cause: str) -> str:
    return cause if cause.endswith(_DOUBT) else cause + _DOUBT
