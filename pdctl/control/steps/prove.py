"""The canary: one tiny request through a prefill x decode pair, without the router, before a member may serve."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from pdctl.control.ports import NotAnswering
from pdctl.control.steps.context import RunContext
from pdctl.engines.canary import CanaryVerdict, Leg, judge_completion, pair_canary, plain_completion
from pdctl.errors import InstanceError
from pdctl.model.launch import Launch
from pdctl.model.role import Role
from pdctl.plan.steps import Step

TIMEOUT_S = 120.0
"""Longer than a first request needs on a cold engine (kernels are compiled at first use), shorter than hope."""


async def prove(ctx: RunContext, step: Step) -> Mapping[str, Any]:
    """Prove the instance with a ready partner of the opposite role; with others if the first pair fails.

    Raises InstanceError when no pair works: the reason of the last, or that no partner came up.
    """
    launch = ctx.launches[step.subject]
    opposite = launch.instance.role.opposite
    if opposite is None:
        verdict = await _single(ctx, launch)
        if not verdict.ok:
            raise InstanceError(step.subject, f"its canary failed: {verdict.reason}", hint=_hint(step))
        return {"partner": None}
    return await _with_partners(ctx, step, launch, opposite)


async def _with_partners(ctx: RunContext, step: Step, launch: Launch, opposite: Role) -> Mapping[str, Any]:
    names = frozenset(found.name for found in ctx.deployment.instances if found.role is opposite)
    tried: set[str] = set()
    reasons: list[str] = []
    while len(tried) < 3:
        ctx.progress(step, f"waiting for a {opposite.value} instance to pair with")
        partner = await ctx.board.partner(opposite, names, frozenset(tried))
        if partner is None:
            break
        tried.add(partner.instance.name)
        began = ctx.clock.monotonic()
        pair = (launch, partner) if launch.instance.role is Role.PREFILL else (partner, launch)
        verdict = await _pair(ctx, *pair)
        if verdict.ok:
            return {"partner": partner.instance.name, "took_s": round(ctx.clock.monotonic() - began, 3)}
        reasons.append(f"with {partner.instance.name}: {verdict.reason}")
    if not reasons:
        raise InstanceError(
            step.subject,
            f"no {opposite.value} instance came up, so no pair could be proven",
            hint=f"bring a {opposite.value} instance up; this engine keeps running and the next `pdctl up` adopts it",
        )
    raise InstanceError(step.subject, f"its canary failed {'; '.join(reasons)}", hint=_hint(step))


def _hint(step: Step) -> str:
    return f"look at `pdctl logs {step.subject}`; it is not registered and gets no traffic"


async def _single(ctx: RunContext, launch: Launch) -> CanaryVerdict:
    answer = await _send(ctx, launch, plain_completion(ctx.deployment.model.name))
    return CanaryVerdict(False, answer) if isinstance(answer, str) else judge_completion(*answer)


async def _pair(ctx: RunContext, prefill: Launch, decode: Launch) -> CanaryVerdict:
    canary = pair_canary(ctx.deployment, prefill, decode)
    if canary.serial:
        first = await _send(ctx, prefill, canary.prefill_leg)
        if isinstance(first, str):
            return CanaryVerdict(False, f"prefill: {first}")
        if first[0] != 200:
            return canary.judge(first, None)
        second = await _send(ctx, decode, canary.decode_leg(first[1]))
    else:
        first, second = await asyncio.gather(
            _send(ctx, prefill, canary.prefill_leg), _send(ctx, decode, canary.decode_leg(None))
        )
    if isinstance(first, str):
        return CanaryVerdict(False, f"prefill: {first}")
    if isinstance(second, str):
        return CanaryVerdict(False, f"decode: {second}")
    return canary.judge(first, second)


async def _send(ctx: RunContext, launch: Launch, leg: Leg) -> tuple[int, str] | str:
    """(status, body), or in words why there is no answer."""
    address, port = launch.endpoint
    try:
        answer = await ctx.cluster.http.request(
            launch.instance.leader.node,
            "POST",
            f"http://{address}:{port}{leg.path}",
            body=leg.body,
            headers=leg.headers,
            timeout_s=TIMEOUT_S,
        )
    except NotAnswering as error:
        return str(error)
    return answer.status, answer.text
