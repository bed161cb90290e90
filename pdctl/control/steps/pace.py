"""Pace: a fresh engine's canary is followed by one timed request, which its pool's others and its own past judge.

The request has a longer prompt and more output than the canary, so that GPUs and not the network make up its time. It
is sent twice and timed the second time: the first may compile kernels, on one node and not on another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

from pdctl.control.ports import NotAnswering
from pdctl.control.steps.context import RunContext
from pdctl.control.steps.prove import TIMEOUT_S, prove
from pdctl.engines.canary import Leg, pair_canary, plain_completion
from pdctl.engines.spec_hash import spec_hash
from pdctl.errors import InstanceError
from pdctl.health.finding import Finding, Verdict
from pdctl.health.pace import PaceProfile, judge_pace, pace_word
from pdctl.health.records import HealthRecords
from pdctl.model.launch import Launch
from pdctl.model.reading import Known, Reading, Unknown
from pdctl.model.role import Role
from pdctl.plan.steps import Step

SOURCE: Final = "a completion of 64 tokens"
OUTPUT_TOKENS: Final = 64
_COUNTED: Final = " ".join(str(number) for number in range(1, 401))


@dataclass(slots=True)
class Pacer:
    """Proves engines as `prove` does, and times them. `_took` are this run's times in seconds, by instance name."""

    records: HealthRecords
    _took: dict[str, float] = field(default_factory=dict)

    async def prove(self, ctx: RunContext, step: Step) -> Mapping[str, Any]:
        """Raises InstanceError as `prove` does, and for an engine that is too slow. One that could not be timed, or
        compared, goes on."""
        proven = await prove(ctx, step)
        launch, partner = ctx.launches[step.subject], proven.get("partner")
        took = await timed(ctx, launch, ctx.launches.get(partner) if partner else None)
        finding = self.judge(ctx, launch, took)
        if finding is not None and finding.blocks:
            why = f"{finding.check}: {finding.observed}, expected {finding.expected}"
            raise InstanceError(step.subject, why, hint=f"{finding.fix}; `--skip-checks` registers it all the same")
        for slow in self.overtaken(ctx, launch):
            ctx.progress(step, slow)
        pace = {"pace_s": round(took.value, 3)} if isinstance(took, Known) else {"pace": took.reason}
        return {**proven, **pace}

    def judge(self, ctx: RunContext, launch: Launch, took: Reading[float]) -> Finding | None:
        """The finding on one engine; its time is remembered unless it failed."""
        name, deployment = launch.instance.name, ctx.deployment
        digest = spec_hash(deployment, launch.instance)
        past = self.records.paces()
        profile = past.get(name, PaceProfile(digest))
        factor = deployment.checks.thresholds.pace_factor
        word = pace_word(took, self._peers(ctx, launch, past), profile, spec_hash=digest, factor=factor)
        if isinstance(took, Known) and word.verdict is not Verdict.FAIL:  # a slow one would excuse the next
            self._took[name] = took.value
            self._remember(name, profile.with_time(digest, took.value))
        return judge_pace(launch.instance, word, deployment.checks)

    def overtaken(self, ctx: RunContext, launch: Launch) -> tuple[str, ...]:
        """Engines of the same pool that this run timed before there was enough to compare them with, and that are slow
        beside what is known now, each in words. They are members already; their times are forgotten."""
        found = []
        factor = ctx.deployment.checks.thresholds.pace_factor
        for name in [other for other in self._took if other != launch.instance.name]:
            earlier = ctx.launches[name]
            if earlier.instance.pool != launch.instance.pool:
                continue
            digest = spec_hash(ctx.deployment, earlier.instance)
            peers = self._peers(ctx, earlier, self.records.paces())
            word = pace_word(Known(self._took[name], SOURCE), peers, None, spec_hash=digest, factor=factor)
            if word.verdict is Verdict.FAIL:
                del self._took[name]
                self._remember(name, PaceProfile(digest))
                found.append(f"{name} is slow: {word.observed}, expected {word.expected}; it was registered before")
        return tuple(found)

    def _peers(self, ctx: RunContext, launch: Launch, past: Mapping[str, PaceProfile]) -> dict[str, float]:
        """The last time of every other instance of the pool: this run's, else an earlier one's."""
        found = {}
        for other in ctx.deployment.instances:
            if other.pool != launch.instance.pool or other.name == launch.instance.name:
                continue
            profile = past.get(other.name)
            if other.name in self._took:
                found[other.name] = self._took[other.name]
            elif profile and profile.times_s and profile.spec_hash == spec_hash(ctx.deployment, other):
                found[other.name] = profile.times_s[-1]
        return found

    def _remember(self, name: str, profile: PaceProfile) -> None:
        """A disk that takes nothing costs the next comparison, and no more."""
        try:
            self.records.keep_paces({name: profile})
        except OSError:
            return


async def timed(ctx: RunContext, launch: Launch, partner: Launch | None) -> Reading[float]:
    """Seconds of the second of two requests: of this engine's own leg where KV is handed over."""
    took: Reading[float] = Unknown("it was not tried", SOURCE)
    for _ in range(2):
        took = await (_single(ctx, launch) if partner is None else _pair(ctx, launch, partner))
        if isinstance(took, Unknown):
            break
    return took


async def _single(ctx: RunContext, launch: Launch) -> Reading[float]:
    leg = _long(plain_completion(ctx.deployment.model.name), uuid4().hex, OUTPUT_TOKENS)
    took, _ = await _send(ctx, launch, leg)
    return took


async def _pair(ctx: RunContext, launch: Launch, partner: Launch) -> Reading[float]:
    prefills = launch.instance.role is Role.PREFILL
    prefill, decode = (launch, partner) if prefills else (partner, launch)
    canary = pair_canary(ctx.deployment, prefill, decode)
    first_leg = _long(canary.prefill_leg, canary.nonce, 1)
    if canary.serial:
        first, answered = await _send(ctx, prefill, first_leg)
        if isinstance(first, Unknown):
            return first
        second, _ = await _send(ctx, decode, _long(canary.decode_leg(answered), canary.nonce, OUTPUT_TOKENS))
    else:
        second_leg = _long(canary.decode_leg(None), canary.nonce, OUTPUT_TOKENS)
        (first, _), (second, _) = await asyncio.gather(_send(ctx, prefill, first_leg), _send(ctx, decode, second_leg))
    for took in (first, second):
        if isinstance(took, Unknown):
            return took
    return first if prefills else second


def _long(leg: Leg, nonce: str, tokens: int) -> Leg:
    """The leg with a prompt of about 1500 tokens that no cache holds, and `tokens` of output."""
    return Leg(leg.path, leg.headers, {**leg.body, "prompt": f"{nonce} {_COUNTED}", "max_tokens": tokens})


async def _send(ctx: RunContext, launch: Launch, leg: Leg) -> tuple[Reading[float], str]:
    """Seconds that one request took, and its answer; Unknown where there was no good one."""
    address, port = launch.endpoint
    began_s = ctx.clock.monotonic()
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
        return Unknown(str(error), SOURCE), ""
    took_s = ctx.clock.monotonic() - began_s
    if answer.status != 200:
        return Unknown(f"the timed request was answered with {answer.status}", SOURCE), ""
    return Known(took_s, SOURCE), answer.text
