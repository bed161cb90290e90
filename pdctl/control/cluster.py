"""The effects of one deployment, opened together: supervisors by node, HTTP through nodes, the membership."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from pdctl.control.clock import Clock
from pdctl.control.lease import LeaseTaker, take_lease
from pdctl.control.ports import Http, Membership
from pdctl.model.deployment import Deployment, NodeSpec
from pdctl.model.observed import NodeView
from pdctl.ssh.ports import Shell, Shells
from pdctl.supervisors.ports import Supervisor


@dataclass(slots=True)
class Cluster:
    """Everything that a use case may touch. `engines` are supervisors by node; `routing` keeps router and registrar.

    `lease_shell` reaches the lease node as who owns the state directory there. `reach` opens a node that the inventory
    does not have any more, `route` what keeps a router on a node that is not the router's (any more).
    """

    deployment: Deployment
    shells: Shells
    lease_shell: Shell
    engines: Mapping[str, Supervisor]
    routing: Supervisor
    http: Http
    membership: Membership
    clock: Clock
    take_lease: LeaseTaker = take_lease
    reach: Callable[[NodeSpec], Supervisor] | None = None
    route: Callable[[str], Supervisor] | None = None
    _looks: dict[str, tuple[float, asyncio.Task[NodeView]]] = field(default_factory=dict)

    def open_node(self, node: NodeSpec) -> None:
        """Have a supervisor for a node that the inventory does not have any more."""
        if node.name not in self.engines and self.reach is not None:
            self.engines = {**self.engines, node.name: self.reach(node)}

    def routing_on(self, node: str) -> Supervisor:
        """What keeps router and registrar there."""
        if node == self.deployment.router.node:
            return self.routing
        return self.engines[node] if self.route is None else self.route(node)

    async def look(self, node: str, *, claim: int | None = None) -> NodeView:
        """The node's units now. Router and engines may be kept by different supervisors there.

        `claim`: our lease epoch, which each supervisor makes known there first (see `Supervisor.inspect`).
        """
        view = await self.engines[node].inspect(claim=claim)
        if not self._routes_apart(node):
            return view
        other = await self.routing.inspect(claim=claim)
        return replace(
            view,
            generation=max(view.generation, other.generation),
            ledger_whole=view.ledger_whole and other.ledger_whole,
            epoch=max(view.epoch, other.epoch),
            units=(*view.units, *other.units),
            others=(*view.others, *other.others),
            notes=(*view.notes, *other.notes),
        )

    def _routes_apart(self, node: str) -> bool:
        """Whether the router on this node is kept by another supervisor than the engines."""
        router = self.deployment.router
        return node == router.node and router.supervisor is not self.deployment.engine.supervisor

    async def glance(self, node: str, max_age_s: float) -> NodeView:
        """Like `look`, but shares one exec between all steps that wait for something on the same node."""
        now = self.clock.monotonic()
        found = self._looks.get(node)
        if found is None or (now - found[0] > max_age_s and found[1].done()):
            found = (now, asyncio.create_task(self.look(node)))
            found[1].add_done_callback(_seen)
            self._looks[node] = found
        return await asyncio.shield(found[1])


def _seen(look: asyncio.Task[NodeView]) -> None:
    """An error of a look that nobody waits for any more (the run was ended meanwhile) is no news."""
    if not look.cancelled():
        look.exception()
