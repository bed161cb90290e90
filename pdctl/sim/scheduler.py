"""Continuous batching on one rank, as vLLM's scheduler does it: pure, no clock of its own, no I/O.

Each step first serves what runs (one token per decode, a chunk per prefill that is under way), then admits waiting
requests first come, first served, while seats (`max_seqs`), the chunk budget (`max_batched_tokens`) and KV blocks last.
A request that needs KV from a peer is given blocks and set aside until the KV has arrived.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from pdctl.perf.step_time import RankLoad
from pdctl.sim.kv_blocks import BlockPool, blocks_for
from pdctl.sim.sim_request import Leg, Phase, SimRequest


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one rank: --max-num-seqs, --max-num-batched-tokens, --block-size, KV blocks."""

    max_seqs: int
    max_batched_tokens: int
    block_size: int
    num_blocks: int


@dataclass(slots=True)
class RankStep:
    """What one rank does in one step. `fetching`: deferred from now on, their loads have to be started."""

    budget: int  # tokens that the step may still take
    decodes: list[SimRequest] = field(default_factory=list)
    chunks: list[tuple[SimRequest, int]] = field(default_factory=list)
    pulls: list[SimRequest] = field(default_factory=list)  # to be pulled inside this step (READ)
    fetching: list[SimRequest] = field(default_factory=list)
    context_tokens: int = 0
    prompt_tokens: int = 0
    landed_tokens: int = 0

    @property
    def busy(self) -> bool:
        return bool(self.decodes or self.chunks)

    @property
    def load(self) -> RankLoad:
        return RankLoad(len(self.decodes), self.context_tokens, self.prompt_tokens, self.landed_tokens)

    def take(self, request: SimRequest) -> None:
        """Give the request its next token, or its next chunk of prompt."""
        missing = request.prompt_tokens - request.computed
        if missing > 0:
            chunk = min(self.budget, missing)
            self.chunks.append((request, chunk))
            self.prompt_tokens += chunk
            self.budget -= chunk
            return
        self.decodes.append(request)
        self.context_tokens += request.prompt_tokens + request.produced
        self.landed_tokens += request.landed
        request.landed = 0
        self.budget -= 1


class RankScheduler:
    """Waiting and running requests of one rank, and its KV blocks."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.pool = BlockPool(limits.num_blocks)
        self.waiting: deque[SimRequest] = deque()
        self.deferred: dict[str, SimRequest] = {}
        self.running: list[SimRequest] = []
        self.pinned = 0  # finished requests whose blocks a peer has not taken yet

    @property
    def unfinished(self) -> int:
        return len(self.waiting) + len(self.deferred) + len(self.running)

    def fits(self, request: SimRequest) -> bool:
        """Could the request ever be admitted, on an empty engine?"""
        return self._blocks_at_most(request) <= self.pool.usable

    def add(self, request: SimRequest) -> None:
        request.phase = Phase.WAITING
        self.waiting.append(request)

    def landed(self, request: SimRequest) -> None:
        """The KV of a deferred request has arrived: it takes the next free seat."""
        del self.deferred[request.id]
        request.computed = request.fetched = request.landed = request.prompt_tokens
        request.phase = Phase.WAITING
        self.waiting.appendleft(request)

    def recompute(self, request: SimRequest) -> None:
        """The KV of a deferred request was lost: it starts over here, keeping its blocks."""
        del self.deferred[request.id]
        request.leg = Leg.LOCAL
        request.phase = Phase.WAITING
        self.waiting.appendleft(request)

    def finish(self, request: SimRequest, outcome: str, now_s: float, *, pin: bool = False) -> None:
        """Take the request out, with its blocks unless they are pinned for a peer. Finished already: no change."""
        if request.phase is Phase.FINISHED:
            return
        if request.phase is Phase.RUNNING:
            self.running.remove(request)
        elif request.phase is Phase.DEFERRED:
            del self.deferred[request.id]
        elif request in self.waiting:
            self.waiting.remove(request)
        request.phase = Phase.FINISHED
        request.outcome = outcome
        request.finished_s = now_s
        if request.holding is not None and pin:
            self.pool.shrink(request.holding)
            request.pinned = True
            self.pinned += 1
        elif request.holding is not None:
            self.pool.release(request.holding)

    def unpin(self, request: SimRequest) -> None:
        """Free what a finished request kept for its peer. Freed already: no change."""
        if request.pinned and request.holding is not None:
            request.pinned = False
            self.pinned -= 1
            self.pool.release(request.holding)

    def schedule(self, now_s: float) -> RankStep:
        """Plan one step; seats and blocks are taken, tokens come with `advance`."""
        step = RankStep(self.limits.max_batched_tokens)
        for request in self.running:
            if step.budget <= 0:
                break
            step.take(request)
        while self.waiting and step.budget > 0 and len(self.running) < self.limits.max_seqs:
            if not self._take_blocks(self.waiting[0]):
                break
            self._admit(self.waiting.popleft(), step, now_s)
        return step

    def _admit(self, request: SimRequest, step: RankStep, now_s: float) -> None:
        if request.scheduled_s is None:
            request.scheduled_s = now_s
        if request.leg is Leg.FETCH_ASYNC and not request.fetched:
            request.phase = Phase.DEFERRED
            self.deferred[request.id] = request
            step.fetching.append(request)
            return
        request.phase = Phase.RUNNING
        self.running.append(request)
        if request.leg is Leg.FETCH_SYNC and not request.fetched:
            request.computed = request.fetched = request.landed = request.prompt_tokens
            step.pulls.append(request)
        if request.leg is Leg.FILLED:
            request.computed = request.prompt_tokens
        step.take(request)

    def advance(self, step: RankStep) -> list[SimRequest]:
        """The step has been computed: count its prompt tokens; every request that got a token, in order.

        Requests that were finished meanwhile (a client left) are passed over.
        """
        served = []
        for request, chunk in step.chunks:
            if request.phase is not Phase.RUNNING:
                continue
            request.computed += chunk
            if request.computed >= request.prompt_tokens:
                served.append(request)
        served.extend(
            request
            for request in step.decodes
            if request.phase is Phase.RUNNING and request.computed >= request.prompt_tokens
        )
        for request in served:
            request.produced += 1
            self._grow(request)
        return served

    def _grow(self, request: SimRequest) -> None:
        holding = request.holding
        if holding is None or not holding.reserved:
            return
        computed = request.prompt_tokens + request.produced - 1  # the token just made gets its KV in the next step
        if blocks_for(computed, self.limits.block_size) > len(holding.ids):
            self.pool.grow(holding)

    def _blocks_at_most(self, request: SimRequest) -> int:
        return blocks_for(request.prompt_tokens + request.answer.length, self.limits.block_size)

    def _take_blocks(self, request: SimRequest) -> bool:
        if request.holding is not None:
            return True
        now = blocks_for(request.prompt_tokens, self.limits.block_size)
        request.holding = self.pool.admit(now, self._blocks_at_most(request))
        return request.holding is not None
