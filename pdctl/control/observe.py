"""Observe: ask every node at once what runs there, and the registrar who is registered. Read-only, needs no lease."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from pdctl.control.cluster import Cluster
from pdctl.errors import EpochRefused, InstanceError, NodeError
from pdctl.model.observed import MembershipSeen, NodeView, Observed, Trouble
from pdctl.model.unit import UnitState
from pdctl.plan.steps import REGISTRAR

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
    return Observed(views, troubles, membership, trouble)


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
