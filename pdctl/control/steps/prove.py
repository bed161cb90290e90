"""The canary: one tiny request through a prefill x decode pair, without the router, before a member may serve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pdctl.control.pair_proof import prove_pair, send_leg
from pdctl.control.steps.context import RunContext
from pdctl.engines.canary import CanaryVerdict, judge_completion, pair_canary, plain_completion
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
        verdict = (
            await prove_pair(ctx.cluster.http, pair_canary(ctx.deployment, *pair), *pair, timeout_s=TIMEOUT_S)
        ).verdict
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
    answer = await send_leg(ctx.cluster.http, launch, plain_completion(ctx.deployment.model.name), timeout_s=TIMEOUT_S)
    return CanaryVerdict(False, answer) if isinstance(answer, str) else judge_completion(*answer)
