"""`down`: fence, drain, stop, verify. `now` is for an emergency and drains nothing."""

from __future__ import annotations

from collections.abc import Mapping

from pdctl.control.journal import Session
from pdctl.control.lease import Applied
from pdctl.control.opened import Opened
from pdctl.control.run import Run
from pdctl.control.up import cannot_fence
from pdctl.model.observed import Observed, Trouble
from pdctl.plan.down import plan_down
from pdctl.plan.steps import Plan
from pdctl.routers.facts import Removal, router_facts


async def down(opened: Opened, session: Session, *, only: frozenset[str] | None = None, now: bool = False) -> int:
    """Take the cluster (or `only` those instances) down. What is gone already is a success. Returns the exit code."""
    deployment = opened.cluster.deployment
    fenceable = router_facts(deployment).removal is not Removal.NEVER
    if only is not None and not fenceable:
        raise cannot_fence(deployment)

    def make_plan(observed: Observed, applied: Applied | None, refused: Mapping[str, Trouble]) -> Plan:
        return plan_down(deployment, observed, only=only, now=now, fenceable=fenceable)

    run = Run(opened.cluster, "down", make_plan, session, now=now, needs_secrets=False, honours_holds=False)
    return await run.go()
