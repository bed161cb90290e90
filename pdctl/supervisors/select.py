"""Which supervisor keeps the units of a node."""

from __future__ import annotations

from pdctl.model.deployment import Deployment, NodeSpec
from pdctl.model.role import SupervisorKind
from pdctl.ssh.ports import Shell
from pdctl.ssh.sudo import SudoShell
from pdctl.supervisors.docker import DockerSupervisor
from pdctl.supervisors.docker_records import containers
from pdctl.supervisors.ports import Supervisor
from pdctl.supervisors.process import ProcessSupervisor
from pdctl.supervisors.systemd import SYSTEM_ROOT, SystemdSupervisor


def supervisor_for(kind: SupervisorKind, shell: Shell, deployment: Deployment, node: NodeSpec) -> Supervisor:
    """The supervisor of that kind on one node. systemd and docker need root there, or sudo without a password."""
    if kind is SupervisorKind.PROCESS:
        return ProcessSupervisor(
            shell, deployment.cluster, root=deployment.state_dir, stop_budget_s=deployment.budgets.stop_s
        )
    if kind is SupervisorKind.DOCKER:
        return DockerSupervisor(
            SudoShell(shell),
            deployment.cluster,
            root=deployment.state_dir or SYSTEM_ROOT,
            stop_budget_s=max(deployment.budgets.stop_s, deployment.budgets.drain_s),
            made_from=containers(deployment, node.gpu),
        )
    return SystemdSupervisor(
        SudoShell(shell),
        deployment.cluster,
        root=deployment.state_dir or SYSTEM_ROOT,
        stop_budget_s=max(deployment.budgets.stop_s, deployment.budgets.drain_s),  # the router's stop is a drain
    )
