"""Canaries over every prefill x decode pair: a whole round on request, or one now and then beside the traffic."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from uuid import uuid4

from pdctl.control.cluster import Cluster
from pdctl.control.observe import observe
from pdctl.control.pair_proof import prove_pair
from pdctl.control.steps.context import launch_of_running
from pdctl.engines.canary import pair_canary
from pdctl.model.launch import Launch
from pdctl.model.observed import Observed
from pdctl.model.role import Role
from pdctl.model.snapshot import PairFigures
from pdctl.telemetry.pairs import End, PairBook, PairResult

TIMEOUT_S: Final = 30.0
"""A pair that is slower than this for some seventy tokens is no use to anybody."""


@dataclass(slots=True)
class Canaries:
    """The pairs of one cluster. `question` is the prompt that all of a round share, so that texts can be compared."""

    cluster: Cluster
    book: PairBook = field(default_factory=PairBook)
    question: str = field(default_factory=lambda: uuid4().hex)
    launches: Mapping[End, Launch] = field(default_factory=dict)
    paused: str = ""  # an operator's reason to send none beside the traffic; a round that is asked for goes on

    def pause(self, reason: str) -> None:
        """Send none beside the traffic until `resume`; what is in flight ends. Results grow old meanwhile."""
        self.paused = reason or "by the operator"

    def resume(self) -> None:
        """Send them again."""
        self.paused = ""

    def toggle(self) -> None:
        """Pause, or resume."""
        self.paused = "" if self.paused else "by the operator"

    def see(self, observed: Observed) -> None:
        """Which launches there are: members only, as an engine that loads or drains has no use for a canary."""
        found: dict[End, Launch] = {}
        members = observed.membership.members if observed.membership is not None else {}
        for instance in self.cluster.deployment.instances:
            launch = launch_of_running(self.cluster.deployment, instance, observed)
            member = members.get(instance.name)
            if launch is None or member is None or member.generation != launch.generation:
                continue
            ranks = launch.registration.dp_size
            found[End(instance.name, launch.generation, launch.spec_hash, ranks)] = launch
        self.launches = found
        self.book.forget(found)

    def ends(self, role: Role) -> list[End]:
        """The launches of one role."""
        return [end for end, launch in self.launches.items() if launch.instance.role is role]

    def ask_anew(self) -> None:
        """From now on with another prompt: only answers to the same one can be compared."""
        self.question = uuid4().hex

    async def one(self, healthy: frozenset[str] | None = None) -> PairResult | None:
        """Try the pair whose turn it is, of those whose ends are both in `healthy` (None: all). None: there is none."""
        prefills, decodes = (self._of(role, healthy) for role in (Role.PREFILL, Role.DECODE))
        pair = self.book.turn(prefills, decodes)
        return None if pair is None else await self.try_pair(pair)

    async def round(self, at_once: int = 4) -> None:
        """Try every pair once, a few at a time, none of which share an end while others wait."""
        self.ask_anew()
        gate = asyncio.Semaphore(at_once)
        prefills, decodes = self.ends(Role.PREFILL), self.ends(Role.DECODE)
        busy: dict[End, asyncio.Lock] = {end: asyncio.Lock() for end in (*prefills, *decodes)}

        async def tried(pair: tuple[End, End]) -> None:
            async with busy[pair[0]], busy[pair[1]], gate:
                await self.try_pair(pair)

        await asyncio.gather(*(tried((prefill, decode)) for prefill in prefills for decode in decodes))

    async def try_pair(self, pair: tuple[End, End]) -> PairResult:
        """One canary through one pair, kept in the book. An end that went away meanwhile is no fault of the pair's."""
        prefill, decode = pair
        launches = self.launches[prefill], self.launches[decode]
        ranks = self.book.ranks(pair)
        canary = pair_canary(self.cluster.deployment, *launches, question=self.question, ranks=ranks)
        clock = self.cluster.clock
        began_s = clock.monotonic()
        proof = await prove_pair(self.cluster.http, canary, *launches, timeout_s=TIMEOUT_S)
        ended_s = clock.monotonic()
        result = PairResult(
            prefill,
            decode,
            ended_s,
            ended_s - began_s,
            proof.verdict.reason,
            self.question,
            proof.text,
            text_only=proof.verdict.text_only,
            ranks=ranks,
        )
        self.book.take(result)
        return result

    def figures(self) -> tuple[PairFigures, ...]:
        """Every pair as it is known now."""
        now_s = self.cluster.clock.monotonic()
        return self.book.figures(self.ends(Role.PREFILL), self.ends(Role.DECODE), now_s)

    def _of(self, role: Role, healthy: frozenset[str] | None) -> list[End]:
        return [end for end in self.ends(role) if healthy is None or end.name in healthy]


async def canary_rounds(cluster: Cluster, rounds: int) -> tuple[PairFigures, ...]:
    """Whole rounds over all pairs of members. Raises nothing for a broken pair: it is in the answer."""
    canaries = Canaries(cluster)
    canaries.see(await observe(cluster))
    for _ in range(rounds):
        await canaries.round()
    return canaries.figures()
