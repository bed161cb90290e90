"""Which supervisor keeps the units of a node."""

from __future__ import annotations

from pdctl.errors import PlanRefused
from pdctl.model.deployment import Deployment, NodeSpec
from pdctl.model.role import SupervisorKind
from pdctl.ssh.ports import Shell
from pdctl.ssh.sudo import SudoShell
from pdctl.supervisors.ports import Supervisor
from pdctl.supervisors.process import ProcessSupervisor
from pdctl.supervisors.systemd import SYSTEM_ROOT, SystemdSupervisor


def supervisor_for(kind: SupervisorKind, shell: Shell, deployment: Deployment, node: NodeSpec) -> Supervisor:
    """The supervisor of that kind on one node. Raises PlanRefused for a kind that this version does not have."""
    if kind is SupervisorKind.PROCESS:
        return ProcessSupervisor(
            shell, deployment.cluster, root=deployment.state_dir, stop_budget_s=deployment.budgets.stop_s
        )
    if kind is SupervisorKind.SYSTEMD:
        return SystemdSupervisor(
            SudoShell(shell),
            deployment.cluster,
            root=deployment.state_dir or SYSTEM_ROOT,
            stop_budget_s=max(deployment.budgets.stop_s, deployment.budgets.drain_s),  # the router's stop is a drain
        )
    raise PlanRefused(
        f"node {node.name}: supervisor {kind.value} is not supported yet", hint="set `supervisor: process` for now"
    )
