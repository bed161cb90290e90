"""What the whole registry says of one node, for tests: findings that are no pass, in a form to compare."""

from __future__ import annotations

from dataclasses import replace

from pdctl.health.envelope import Envelope
from pdctl.health.expectations import Situation
from pdctl.health.finding import Finding, Verdict
from pdctl.model.deployment import Deployment
from pdctl.model.role import SupervisorKind
from tests.unit.deployments import r1_2p3d
from tests.unit.health_fleet import judge_envelopes

NODE = "mi300x-01"


def findings(
    envelope: Envelope,
    *,
    deployment: Deployment | None = None,
    situation: Situation | None = None,
    rooms: tuple[str, ...] = ("nic", "host"),
) -> list[Finding]:
    """What is not passed by the checks of some rooms ("nic.*", "host.*") on the first node of r1-2p3d."""
    report, _ = judge_envelopes(deployment or r1_2p3d(), {NODE: envelope}, situation=situation)
    return [
        finding
        for finding in report.findings
        if finding.subject.node == NODE and finding.check.split(".")[0] in rooms and finding.verdict is not Verdict.PASS
    ]


def said(found: list[Finding]) -> set[tuple[str, str, str, str]]:
    """(check, device, verdict, severity) of each."""
    return {(each.check, each.subject.device, each.verdict.value, each.severity.value) for each in found}


def passed(envelope: Envelope, check: str, deployment: Deployment | None = None) -> bool:
    """Whether that check has words on the node, and all of them pass."""
    report, _ = judge_envelopes(deployment or r1_2p3d(), {NODE: envelope})
    mine = [each for each in report.findings if each.subject.node == NODE and each.check == check]
    return bool(mine) and all(each.verdict is Verdict.PASS for each in mine)


def with_env(**env: str) -> Deployment:
    """r1-2p3d whose engines get this environment."""
    deployment = r1_2p3d()
    pools = {name: replace(pool, env={**pool.env, **env}) for name, pool in deployment.pools.items()}
    return replace(deployment, pools=pools)


def under(supervisor: SupervisorKind) -> Deployment:
    """r1-2p3d with another supervisor."""
    deployment = r1_2p3d()
    return replace(deployment, engine=replace(deployment.engine, supervisor=supervisor))
