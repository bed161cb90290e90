"""Register an instance with the router, and fence it out again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pdctl.control.ports import Member, NotAnswering
from pdctl.control.steps.context import RunContext, endpoint_of_running
from pdctl.control.steps.in_flight import in_flight
from pdctl.control.steps.routing import router_url
from pdctl.errors import Unreachable
from pdctl.model.observed import MembershipSeen
from pdctl.model.unit import UnitState
from pdctl.plan.steps import REGISTRAR, Step
from pdctl.routers.facts import Removal, router_facts
from pdctl.routers.health import member_counts

REGISTER_S = 60.0
"""The router may need 14 s to answer after its start (measured with vllm-router 0.1.17 on busy cores)."""
ACKNOWLEDGE_S = 15.0
POLL_S = 0.25


async def register(ctx: RunContext, step: Step) -> Mapping[str, Any]:
    """Put the instance on the list, and see the registrar send it."""
    launch = ctx.launches[step.subject]
    member = Member(step.subject, launch.generation, launch.registration)

    def sent(seen: MembershipSeen) -> bool:
        found = seen.members.get(member.name)
        return found is not None and found.registered and found.generation == member.generation

    await ctx.members.put(member)
    await ctx.members.until(sent, f"registration of {step.subject}", REGISTER_S)
    return {"type": launch.registration.type, "address": launch.registration.http_address}


async def fence_now(ctx: RunContext, step: Step) -> Mapping[str, Any]:
    """Take the instance off the list and wait for nothing: in an emergency what is in flight is cut anyway."""
    await ctx.members.drop([step.subject])
    return {"evicted": "not waited for"}


async def fence(ctx: RunContext, step: Step) -> Mapping[str, Any]:
    """Take the instance off the list and wait until the router cannot choose it any more.

    Requests in flight go on. Raises Unreachable where the router's node cannot be asked: what it may still choose is
    unknown then. Where the router never forgets a member, a plan fences only after it has stopped the router.
    """
    facts, node = router_facts(ctx.deployment), ctx.deployment.router.node
    trouble = ctx.observed.unreachable.get(node)
    if trouble is not None:
        raise Unreachable(
            node, f"so {step.subject} cannot be taken from the router: {trouble.cause}", hint=trouble.hint
        )
    member = ctx.members.get(step.subject)
    if member is not None:  # before the list is written: whether a write that fails was done is not known
        ctx.fenced[step.subject] = member
    if not ctx.router_runs:
        await ctx.members.drop([step.subject])
        return {"evicted": "the router does not run"}
    may_be_chosen = step.subject in ctx.members.listed or _was_told(ctx, step.subject, facts.evict_s)
    await ctx.members.drop([step.subject])
    if not may_be_chosen:
        return {"evicted": "was no member"}
    registrar = ctx.observed.unit(REGISTRAR)
    running = registrar is not None and registrar.state is UnitState.RUNNING
    told_at: float | None = None  # when the router may last have heard of it
    if running or facts.removal is Removal.ADMIN:  # without a registrar, members expire by themselves or not at all
        at, seen = await ctx.members.until(
            lambda seen: step.subject not in seen.members, f"fencing of {step.subject}", ACKNOWLEDGE_S
        )
        told_at = at - seen.departed_s[step.subject] if step.subject in seen.departed_s else None
    began = ctx.clock.monotonic()
    forgotten_at = (began if told_at is None else told_at) + facts.evict_s
    endpoint = endpoint_of_running(ctx.observed.unit(step.subject))
    if endpoint is not None:
        ctx.at_fence[step.subject] = await in_flight(ctx, step.node, endpoint)
    while (left_s := forgotten_at - ctx.clock.monotonic()) > 0:
        if not ctx.members.names and await _router_is_empty(ctx):
            break
        if ctx.interrupted():  # nothing that follows begins any more
            return {"evicted": "not waited for: interrupted"}
        ctx.progress(step, "waiting for the router to forget it")
        await ctx.clock.sleep(min(POLL_S, left_s))
    return {"evicted_s": round(ctx.clock.monotonic() - began, 3)}


def _was_told(ctx: RunContext, name: str, within_s: float) -> bool:
    """Whether the router may have heard of a former member lately: the run that fenced it may have died right after."""
    seen = ctx.observed.membership
    if seen is None or name in seen.members:
        return True
    return seen.departed_s.get(name, within_s) < within_s


async def _router_is_empty(ctx: RunContext) -> bool:
    """Whether the router itself says that it has no members (the only list that it shows is in its 503 text)."""
    try:
        answer = await ctx.cluster.http.request(
            ctx.deployment.router.node, "GET", f"{router_url(ctx.deployment)}/health", timeout_s=2.0
        )
    except NotAnswering:
        return False
    return member_counts(answer.status, answer.text) == (0, 0)
