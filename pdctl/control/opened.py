"""Open a cluster: the inventory becomes a deployment, and the deployment gets its real effects."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from pdctl.control.clock import SystemClock
from pdctl.control.cluster import Cluster
from pdctl.control.http import NodeHttp
from pdctl.control.inventory_file import FileOnDisk, InventoryFile
from pdctl.control.read_deployment import read_deployment as read_deployment
from pdctl.errors import PlanRefused
from pdctl.inventory.load import Inventory
from pdctl.model.deployment import Deployment, NodeSpec
from pdctl.model.role import SupervisorKind
from pdctl.routers.membership import NodeMembership
from pdctl.ssh.pool import SshShells
from pdctl.ssh.ports import Shell
from pdctl.ssh.sudo import SudoShell
from pdctl.supervisors.ports import Supervisor
from pdctl.supervisors.select import supervisor_for

if TYPE_CHECKING:
    from pdctl.health.records import HealthRecords


@dataclass(frozen=True, slots=True)
class Opened:
    """A cluster with its effects, and the inventory that it was made from."""

    cluster: Cluster
    inventory: Inventory
    written: InventoryFile | None = None

    @property
    def file(self) -> InventoryFile:
        """Where the inventory lies: its file, unless `written` stands in for it."""
        return self.written or FileOnDisk(self.inventory.path)

    @property
    def health(self) -> HealthRecords:
        """What earlier checks of this cluster remember on this machine."""
        from pdctl.health.records import FileRecords  # loads all of health, which most commands do without

        return FileRecords.of(self.deployment.cluster, Path(platformdirs.user_state_dir("pdctl")))

    @property
    def deployment(self) -> Deployment:
        return self.cluster.deployment

    @property
    def inventory_text(self) -> str:
        return self.inventory.text


async def reread(opened: Opened) -> Opened:
    """The cluster by its inventory as it is now, over the connections that are held: after a move, or an edit.

    Everything that holds the cluster sees it. Raises InventoryError; PlanRefused where what connections or supervisors
    are made from (nodes, login, engine, router) has changed: they would have to be made anew.
    """
    old = opened.deployment
    path = Path(old.source)
    if await asyncio.to_thread(_digest, path) == old.digest:  # parsing a large one takes a while
        return opened
    inventory, deployment = await asyncio.to_thread(read_deployment, path)
    for what in ("cluster", "nodes", "engine", "router", "lease_node", "state_dir", "docker"):
        if getattr(old, what) != getattr(deployment, what):
            raise PlanRefused(
                f"`{what}` of the inventory changed since it was opened", hint="leave and open pdctl again"
            )
    opened.cluster.deployment = deployment
    return replace(opened, inventory=inventory)


def _digest(path: Path) -> str:
    """Of the file as it is now; "" where it cannot be read, which reading it says in words."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


@asynccontextmanager
async def open_cluster(path: Path) -> AsyncIterator[Opened]:
    """The cluster of the inventory at `path`; connections are dialled at first use and closed at the end."""
    inventory, deployment = read_deployment(path)
    shells = SshShells(deployment.nodes)
    direct = frozenset(name for name, node in deployment.nodes.items() if node.ssh.engine_http == "direct")
    http = NodeHttp(shells, direct)
    engine, router = deployment.engine.supervisor, deployment.router

    def reach(node: NodeSpec) -> Supervisor:
        shells.add(node)
        return supervisor_for(engine, shells.shell(node.name), deployment, node)

    cluster = Cluster(
        deployment,
        shells,
        _entitled(engine, shells.shell(deployment.lease_node)),
        {name: supervisor_for(engine, shells.shell(name), deployment, node) for name, node in deployment.nodes.items()},
        supervisor_for(router.supervisor, shells.shell(router.node), deployment, deployment.nodes[router.node]),
        http,
        NodeMembership(_entitled(router.supervisor, shells.shell(router.node)), deployment),
        SystemClock(),
        reach=reach,
        route=lambda node: supervisor_for(router.supervisor, shells.shell(node), deployment, shells.spec(node)),
    )
    try:
        yield Opened(cluster, inventory)
    finally:
        await http.close()
        await shells.close()


def _entitled(kind: SupervisorKind, shell: Shell) -> Shell:
    """The shell that may use the state directory of that supervisor: the login's own, or root's."""
    return shell if kind is SupervisorKind.PROCESS else SudoShell(shell)
