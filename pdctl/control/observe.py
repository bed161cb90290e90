"""Observe: ask every node at once what runs there, and the registrar who is registered. Read-only, needs no lease."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace

from pdctl.control.cluster import Cluster
from pdctl.errors import EpochRefused, InstanceError, NodeError
from pdctl.model.observed import MembershipSeen, NodeView, Observed, Trouble
from pdctl.model.role import UnitKind
from pdctl.model.unit import UnitState, UnitStatus
from pdctl.plan.steps import REGISTRAR

_SERVICES = (UnitKind.ROUTER, UnitKind.REGISTRAR)
NODE_DEADLINE_S = 45.0
"""Longer than connecting, logging in and one exec may take each by themselves; a node past it is reported as such."""


async def observe(cluster: Cluster, nodes: Iterable[str] | None = None, *, claim: int | None = None) -> Observed:
    """What every node (or those named) shows now. One slow node never delays the answer beyond its own deadline.

    A node that cannot be asked is in `unreachable`, with cause and hint; it is never taken for an empty one.
    `claim` is the lease epoch of a run that will change things: each node learns it before it is looked at, so that
    what was seen is not changed by a former holder who goes on late. Raises EpochRefused if we are that one.
    """
    names = list(cluster.deployment.nodes) if nodes is None else list(nodes)
    answers = await asyncio.gather(*(_look(cluster, name, claim) for name in names))
    views = {name: answer for name, answer in zip(names, answers, strict=True) if isinstance(answer, NodeView)}
    troubles = {name: answer for name, answer in zip(names, answers, strict=True) if isinstance(answer, Trouble)}
    membership, trouble = await _membership(cluster, views)
    views, elsewhere = services_apart(views, cluster.deployment.router.node)
    return Observed(views, troubles, membership, trouble, elsewhere=elsewhere)


def services_apart(
    views: Mapping[str, NodeView], router_node: str
) -> tuple[dict[str, NodeView], tuple[tuple[str, UnitStatus], ...]]:
    """The views without routers and registrars that are not on the router's node; and those of them that may live."""
    apart = tuple(
        (node, unit)
        for node, view in views.items()
        for unit in view.units
        if node != router_node and unit.labels.kind in _SERVICES
    )
    kept = {
        node: replace(view, units=tuple(unit for unit in view.units if (node, unit) not in apart))
        for node, view in views.items()
    }
    home = views[router_node].units if router_node in views else ()
    same = {unit.incarnation for unit in home} - {""}  # another name of the router's machine shows the same ones
    lives = (UnitState.RUNNING, UnitState.STOPPING, UnitState.UNKNOWN)
    return kept, tuple((node, unit) for node, unit in apart if unit.state in lives and unit.incarnation not in same)


async def _look(cluster: Cluster, node: str, claim: int | None) -> NodeView | Trouble:
    try:
        async with asyncio.timeout(NODE_DEADLINE_S):
            return await cluster.look(node, claim=claim)
    except EpochRefused:
        raise
    except NodeError as error:
        return Trouble(error.cause, error.hint, error.exit_code)
    except TimeoutError:
        return Trouble(f"gave no answer in {NODE_DEADLINE_S:.0f} s", "is the node overloaded, or its sshd hung?", 4)


async def _membership(cluster: Cluster, views: dict[str, NodeView]) -> tuple[MembershipSeen | None, str]:
    node = cluster.deployment.router.node
    view = views.get(node)
    if view is None:
        return None, f"{node} cannot be asked"
    unit = next((unit for unit in view.units if unit.labels.instance == REGISTRAR), None)
    if unit is None or unit.state is not UnitState.RUNNING:
        return None, "the registrar does not run"
    try:
        return await cluster.membership.seen(), ""
    except (NodeError, InstanceError) as error:
        return None, error.message
