"""Wait until no client uses a router that is to go: its own figures say so, and a figure that is unknown does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pdctl.control.ports import NotAnswering
from pdctl.control.steps.context import RunContext
from pdctl.control.steps.routing import router_url
from pdctl.control.wanted import applied_deployment
from pdctl.plan.steps import Step
from pdctl.routers.metrics import RouterUse, parse_router_use
from pdctl.routers.ports import planned_ports

QUIET_S = 30.0
"""A router that was given nothing for this long has lost its clients, or has none that mind a refused connection."""
POLL_S = 1.0
_TIMEOUT_S = 5.0


async def quiet_router(ctx: RunContext, step: Step) -> Mapping[str, Any]:
    """Until the router on `step.node` holds nothing and was given nothing for `QUIET_S`, or for as long as a drain may
    take. What it holds then still ends: at SIGTERM it stops listening, and finishes its streams."""
    clock = ctx.clock
    began = since = clock.monotonic()
    end = began + ctx.deployment.budgets.drain_s
    last: RouterUse | None = None
    old = applied_deployment(ctx.deployment, ctx.applied.now) or ctx.deployment
    port = planned_ports(old).metrics
    while clock.monotonic() < end:
        seen = await _use(ctx, step.node, port)
        now = clock.monotonic()
        if seen is None or seen.held or (last is not None and seen.given != last.given):
            since = now
        if seen is not None and now - since >= QUIET_S:
            return {"quiet": True, "waited_s": round(now - began, 1)}
        given = "" if seen is None or last is None else f", {seen.given - last.given:.0f} requests just now"
        ctx.progress(step, f"clients have to go to {router_url(ctx.deployment)} on {ctx.deployment.router.node}{given}")
        last = seen or last
        await clock.sleep(POLL_S)
    return {"quiet": False, "waited_s": round(clock.monotonic() - began, 1)}


async def _use(ctx: RunContext, node: str, port: int) -> RouterUse | None:
    """Its use; None where it cannot be told."""
    url = f"http://127.0.0.1:{port}/metrics"
    try:
        answer = await ctx.cluster.http.request(node, "GET", url, timeout_s=_TIMEOUT_S)
    except NotAnswering:
        return None
    return parse_router_use(answer.text) if answer.status == 200 else None
