"""`router move` and `router restart`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from pdctl.control.inventory_file import FileOnDisk
from pdctl.control.journal import Session
from pdctl.control.opened import Opened
from pdctl.control.up import UpOptions, cannot_fence, up
from pdctl.errors import PdctlError, PlanRefused, UsageError
from pdctl.inventory.edit import loc_of, set_scalar
from pdctl.inventory.load import parse
from pdctl.inventory.place import place
from pdctl.model.deployment import Deployment
from pdctl.model.events import Event, StepStarted
from pdctl.plan.steps import ROUTER
from pdctl.routers.facts import Removal, router_facts

OpenCluster = Callable[[Path], AbstractAsyncContextManager[Opened]]


async def move_router(opened: Opened, node: str, session: Session, open_cluster: OpenCluster) -> int:
    """Write `router.node` into the inventory, and apply that: a new router there, proven; the old one goes when no
    client uses it any more. Returns the exit code.

    Raises PlanRefused, UsageError, and what `up` raises: where that has begun nothing, the inventory is as it was."""
    text = edited(opened.deployment, opened.inventory_text, node)
    if text is None:
        return await up(opened, UpOptions(), session)
    await opened.cluster.look(node)  # raises where it cannot be asked: nothing is written then
    path = Path(opened.deployment.source)
    began = _Began(session)
    digest = await FileOnDisk(path).replace(opened.deployment.digest, text)
    try:
        async with open_cluster(path) as moved:
            return await up(moved, UpOptions(), Session(began.see, session.interrupt, session.run))
    except PdctlError:
        if not began.steps:
            await FileOnDisk(path).replace(digest, opened.inventory_text)
        raise


@dataclass(slots=True)
class _Began:
    """Whether a run has begun a step: before, its inventory can be what it was."""

    session: Session
    steps: bool = False

    def see(self, event: Event) -> None:
        self.steps = self.steps or isinstance(event, StepStarted)
        self.session.sink(event)


async def restart_router(opened: Opened, session: Session) -> int:
    """A new process in the place of the old one, which finishes its streams first. Returns the exit code."""
    return await up(opened, UpOptions(only=frozenset(), restart=frozenset([ROUTER])), session)


def edited(deployment: Deployment, text: str, node: str) -> str | None:
    """The inventory's text with the router on `node`; None where it is there. Raises UsageError, PlanRefused."""
    if node not in deployment.nodes:
        raise UsageError(f"{node} is not in the inventory", hint=f"known: {', '.join(deployment.nodes)}")
    if node == deployment.router.node:
        return None
    if router_facts(deployment).removal is Removal.NEVER:
        raise cannot_fence(deployment)
    new = set_scalar(text, loc_of(text, "router.node"), node)
    lease = place(parse(new.encode(), Path(deployment.source))).lease_node
    if lease != deployment.lease_node:
        raise PlanRefused(
            f"lease, journal and holds lie on the router's node {deployment.lease_node}, and would be looked for on "
            f"{lease}",
            hint=f"write `lease_node: {deployment.lease_node}` into the inventory first, then move the router",
        )
    return new
