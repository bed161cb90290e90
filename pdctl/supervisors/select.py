"""Which supervisor keeps the units of a node."""

from __future__ import annotations

from pdctl.errors import PlanRefused
from pdctl.model.deployment import Deployment, NodeSpec
from pdctl.model.role import SupervisorKind
from pdctl.ssh.ports import Shell
from pdctl.supervisors.ports import Supervisor
from pdctl.supervisors.process import ProcessSupervisor


def supervisor_for(kind: SupervisorKind, shell: Shell, deployment: Deployment, node: NodeSpec) -> Supervisor:
    """The supervisor of that kind on one node. Raises PlanRefused for a kind that this version does not have."""
    if kind is SupervisorKind.PROCESS:
        return ProcessSupervisor(
            shell, deployment.cluster, root=deployment.state_dir, stop_budget_s=deployment.budgets.stop_s
        )
    raise PlanRefused(
        f"node {node.name}: supervisor {kind.value} is not supported yet", hint="set `supervisor: process` for now"
    )
