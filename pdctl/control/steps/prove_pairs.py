"""The canary of a move: a tiny request with every opposite instance, before the new one is registered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pdctl.control.pair_proof import prove_pair
from pdctl.control.steps.context import RunContext
from pdctl.control.steps.prove import TIMEOUT_S
from pdctl.engines.canary import pair_canary
from pdctl.model.launch import Launch
from pdctl.model.role import Role
from pdctl.plan.steps import Step

Prove = Callable[[RunContext, Step], Awaitable[Mapping[str, Any]]]

MOST_PAIRS = 32
"""Partners beyond this many are not asked: `pdctl canary` proves every pair there is."""
AT_ONCE = 8


async def prove_none(ctx: RunContext, step: Step) -> Mapping[str, Any]:
    """Nothing is proven: the operator asked for that."""
    return {"partner": None, "skipped": True}


def prove_pairs(first: Prove) -> Prove:
    """The step that proves an instance as `first` does, with one partner, and then with all the others.

    One pair that works is enough to serve; those that do not are in the detail (`broken`: partner -> reason). Raises
    InstanceError as `first` does.
    """

    async def prove(ctx: RunContext, step: Step) -> Mapping[str, Any]:
        proven = await first(ctx, step)
        launch = ctx.launches[step.subject]
        role = launch.instance.role.opposite
        if role is None:
            return proven
        others = [each for each in await ctx.board.ready_of(role) if each.instance.name != proven.get("partner")]
        turn = asyncio.Semaphore(AT_ONCE)
        reasons = await asyncio.gather(*(_pair(ctx, launch, each, turn) for each in others[: MOST_PAIRS - 1]))
        broken = {each.instance.name: why for each, why in zip(others, reasons, strict=False) if why}
        return {**proven, "pairs": 1 + len(reasons), "broken": broken}

    return prove


async def _pair(ctx: RunContext, launch: Launch, partner: Launch, turn: asyncio.Semaphore) -> str:
    """Why the pair does not work, "" if it does."""
    pair = (launch, partner) if launch.instance.role is Role.PREFILL else (partner, launch)
    async with turn:
        proof = await prove_pair(ctx.cluster.http, pair_canary(ctx.deployment, *pair), *pair, timeout_s=TIMEOUT_S)
    return "" if proof.verdict.ok else proof.verdict.reason
