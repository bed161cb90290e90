"""The effects of one deployment, opened together: supervisors by node, HTTP through nodes, the membership."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pdctl.control.clock import Clock
from pdctl.control.lease import LeaseTaker, take_lease
from pdctl.control.ports import Http, Membership
from pdctl.model.deployment import Deployment
from pdctl.model.observed import NodeView
from pdctl.ssh.ports import Shells
from pdctl.supervisors.ports import Supervisor


@dataclass(slots=True)
class Cluster:
    """Everything that a use case may touch. `engines` are supervisors by node; `routing` keeps router and registrar."""

    deployment: Deployment
    shells: Shells
    engines: Mapping[str, Supervisor]
    routing: Supervisor
    http: Http
    membership: Membership
    clock: Clock
    take_lease: LeaseTaker = take_lease
    _looks: dict[str, tuple[float, asyncio.Task[NodeView]]] = field(default_factory=dict)

    async def look(self, node: str) -> NodeView:
        """The node's units now. Router and engines may be kept by different supervisors there."""
        view = await self.engines[node].inspect()
        router = self.deployment.router
        if node != router.node or router.supervisor is self.deployment.engine.supervisor:
            return view
        other = await self.routing.inspect()
        return replace(
            view,
            generation=max(view.generation, other.generation),
            epoch=max(view.epoch, other.epoch),
            units=(*view.units, *other.units),
            others=(*view.others, *other.others),
            notes=(*view.notes, *other.notes),
        )

    async def glance(self, node: str, max_age_s: float) -> NodeView:
        """Like `look`, but shares one exec between all steps that wait for something on the same node."""
        now = self.clock.monotonic()
        found = self._looks.get(node)
        if found is None or (now - found[0] > max_age_s and found[1].done()):
            found = (now, asyncio.create_task(self.look(node)))
            self._looks[node] = found
        return await asyncio.shield(found[1])
