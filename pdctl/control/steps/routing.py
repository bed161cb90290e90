"""Start the registrar and the router, and prove the whole with a completion through the router."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pdctl.control.ports import NotAnswering
from pdctl.control.steps.context import RunContext
from pdctl.engines.canary import judge_completion, plain_completion
from pdctl.errors import InstanceError
from pdctl.model.deployment import Deployment
from pdctl.model.role import Role
from pdctl.model.unit import UnitSpec
from pdctl.plan.steps import Step
from pdctl.routers.facts import router_facts
from pdctl.routers.ports import local_address
from pdctl.routers.units import registrar_unit, router_unit

LISTEN_S = 60.0
PROVE_S = 60.0
POLL_S = 0.25


def router_url(deployment: Deployment) -> str:
    """The router's base URL as seen from its own node."""
    return f"http://{local_address(deployment.router)}"


async def start_registrar(ctx: RunContext, step: Step) -> Mapping[str, Any]:
    """Start the registrar under its own unit; it sends whatever the members file says."""
    generation = await ctx.generations.next(step.node)
    return await _start(ctx, step, registrar_unit(ctx.deployment, generation=generation))


async def start_router(ctx: RunContext, step: Step) -> Mapping[str, Any]:
    """Start the router and wait until it listens. Raises InstanceError with what it last said."""
    generation = await ctx.generations.next(step.node)
    detail = await _start(ctx, step, router_unit(ctx.deployment, generation=generation))
    end = ctx.clock.monotonic() + LISTEN_S
    while ctx.clock.monotonic() < end:
        if await _listens(ctx):
            return {**detail, "url": router_url(ctx.deployment)}
        ctx.progress(step, "waiting for the router to listen")
        await ctx.clock.sleep(POLL_S)
    raise InstanceError("router", f"does not listen after {LISTEN_S:.0f} s", hint="look at `pdctl logs router`")


async def _start(ctx: RunContext, step: Step, spec: UnitSpec) -> Mapping[str, Any]:
    async with ctx.start_turn(step.node):
        status = await ctx.cluster.routing.start(spec, epoch=ctx.epoch)
    return {"pid": status.pid}


async def _listens(ctx: RunContext) -> bool:
    try:
        await ctx.cluster.http.request(
            ctx.deployment.router.node, "GET", f"{router_url(ctx.deployment)}/health", timeout_s=5.0
        )
    except NotAnswering:
        return False
    return True


async def prove_whole(ctx: RunContext, step: Step) -> Mapping[str, Any]:
    """A completion through the router: the only proof that clients are served. Raises InstanceError.

    It begins when the router has forgotten what died before this run: until then it may still choose a dead member, and
    one completion would not show it.
    """
    _need_both_sides(ctx)
    await _dead_are_forgotten(ctx, step)
    end = ctx.clock.monotonic() + PROVE_S
    last = "no answer"
    while True:
        began = ctx.clock.monotonic()
        request = plain_completion(ctx.deployment.model.name)
        try:
            answer = await ctx.cluster.http.request(
                ctx.deployment.router.node,
                "POST",
                router_url(ctx.deployment) + request.path,
                body=request.body,
                headers=request.headers,
                timeout_s=max(end - began, 1.0),
            )
            verdict = judge_completion(answer.status, answer.text)
            if verdict.ok:
                return {"took_s": round(ctx.clock.monotonic() - began, 3)}
            last = verdict.reason
        except NotAnswering as error:
            last = str(error)
        if ctx.clock.monotonic() >= end:
            raise InstanceError(
                "router",
                f"a completion through it failed: {last}",
                hint="look at `pdctl status` and `pdctl logs router`",
            )
        ctx.progress(step, last)
        await ctx.clock.sleep(POLL_S)


async def _dead_are_forgotten(ctx: RunContext, step: Step) -> None:
    left_at, evict_s = ctx.members.stale_left_at, router_facts(ctx.deployment).evict_s
    while ctx.router_runs and left_at is not None and ctx.clock.monotonic() < left_at + evict_s:
        ctx.progress(step, "waiting for the router to forget what died")
        await ctx.clock.sleep(POLL_S)


def _need_both_sides(ctx: RunContext) -> None:
    wanted = {pool.role for pool in ctx.deployment.pools.values()}
    roles = {instance.role for instance in ctx.deployment.instances if instance.name in ctx.members.names}
    missing = [role.value for role in Role if role in wanted and role not in roles]
    if missing:
        raise InstanceError(
            "router",
            f"no {' and no '.join(missing)} instance is registered, so nothing can be served",
            hint="the steps that failed above say why; `pdctl up` tries them again",
        )
