"""Nodes that the inventory does not have any more: what still runs there is drained and stopped, not forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pdctl.control.cluster import Cluster
from pdctl.control.lease import Applied
from pdctl.control.observe import observe, services_apart
from pdctl.control.wanted import applied_deployment
from pdctl.model.deployment import Deployment, NodeSpec
from pdctl.model.observed import Observed


def departed_nodes(deployment: Deployment, applied: Applied | None) -> Mapping[str, NodeSpec]:
    """Nodes of the inventory that was last applied and not of this one. A machine that has another name now is not
    among them: what runs on it is seen under that name."""
    old = applied_deployment(deployment, applied)
    if old is None:
        return {}
    machines = {(node.host, node.port) for node in deployment.nodes.values()}
    return {
        name: node
        for name, node in old.nodes.items()
        if name not in deployment.nodes and (node.host, node.port) not in machines
    }


async def see_departed(
    cluster: Cluster, observed: Observed, applied: Applied | None, *, claim: int | None = None
) -> tuple[Observed, tuple[str, ...]]:
    """`observed` with what runs on nodes that departed, and in words those that cannot be asked any more: they are not
    waited for, since that may be why they departed."""
    departed = departed_nodes(cluster.deployment, applied)
    observed = await _see_old_router(cluster, observed, applied, claim)
    if not departed:
        return observed, ()
    for node in departed.values():
        cluster.open_node(node)
    names = [name for name in departed if name in cluster.engines]
    found = await observe(cluster, names, claim=claim)
    gone = tuple(
        f"{name} is not in the inventory any more and cannot be asked: {trouble.cause}; what runs there goes on"
        for name, trouble in found.unreachable.items()
    )
    elsewhere = (*observed.elsewhere, *found.elsewhere)
    return replace(observed, nodes={**observed.nodes, **found.nodes}, elsewhere=elsewhere), gone


async def _see_old_router(cluster: Cluster, observed: Observed, applied: Applied | None, claim: int | None) -> Observed:
    """Where something else keeps routers than engines: what it keeps on the node that had the router."""
    old, now = applied_deployment(cluster.deployment, applied), cluster.deployment
    if old is None or old.router.node == now.router.node or old.router.node not in observed.nodes:
        return observed
    if now.router.supervisor is now.engine.supervisor:
        return observed  # seen already
    node = old.router.node
    view = await cluster.routing_on(node).inspect(claim=claim)
    _, elsewhere = services_apart({node: view}, now.router.node)
    return replace(observed, elsewhere=(*observed.elsewhere, *elsewhere))
