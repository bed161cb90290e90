"""One request inside a simulated engine: what is asked, how far it is, and when things happened.

Times are seconds of the engine's monotonic clock.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pdctl.sim.answer import Answer
from pdctl.sim.kv_blocks import Holding


class Leg(StrEnum):
    """Which part of a request this engine does."""

    LOCAL = "local"  # prefill and decode here
    PREFILL = "prefill"  # computes KV that a decode engine takes over
    FETCH_ASYNC = "fetch-async"  # decode: waits, deferred, until KV has arrived (WRITE, NIXL)
    FETCH_SYNC = "fetch-sync"  # decode: pulls KV inside an engine step (MoRI-IO READ)
    FILLED = "filled"  # decode: its KV is made up (DecodeBenchConnector)


class Phase(StrEnum):
    WAITING = "waiting"  # for a seat or for blocks: vLLM's reason "capacity"
    DEFERRED = "deferred"  # for remote KV: vLLM's reason "deferred"
    RUNNING = "running"
    FINISHED = "finished"


@dataclass(slots=True, eq=False)
class SimRequest:
    """Mutable on purpose: the scheduler moves it on, the HTTP side follows `produced` and `outcome`.

    `kv_params` are the request's kv_transfer_params; `kv_reply` is what a prefill leg's answer carries. `peer_rank` is
    the rank that the router pinned on the other side.
    """

    id: str  # as the engine names it: "cmpl-…"
    raw_id: str  # X-Request-Id, or what stands in for it
    prompt_tokens: int
    answer: Answer
    max_tokens: int
    arrival_s: float
    leg: Leg = Leg.LOCAL
    rank: int = 0
    kv_params: dict[str, Any] = field(default_factory=dict)
    kv_reply: dict[str, Any] | None = None
    phase: Phase = Phase.WAITING
    computed: int = 0  # prompt tokens with KV
    produced: int = 0  # tokens generated
    fetched: int = 0  # prompt tokens whose KV came from a peer
    landed: int = 0  # of those, not yet paid for in a step
    holding: Holding | None = None
    pinned: bool = False  # finished, blocks kept for the peer
    outcome: str | None = None  # "length" | "stop" | "abort" | "error"
    client_left: bool = False  # it was aborted because nobody waits for it any more
    scheduled_s: float | None = None
    first_token_s: float | None = None
    last_token_s: float | None = None
    finished_s: float | None = None
    longest_gap_s: float = 0.0
    buffered: bool = False  # wake the HTTP side only at the end
    _waiter: asyncio.Future[None] | None = None

    @property
    def transfer_id(self) -> str:
        return str(self.kv_params.get("transfer_id") or "")

    def wake(self) -> None:
        """Tell the HTTP side that `produced` or `outcome` changed."""
        waiter = self._waiter
        if waiter is not None and not waiter.done() and (self.outcome is not None or not self.buffered):
            waiter.set_result(None)

    async def changed(self, sent: int) -> None:
        """Return once more than `sent` tokens were produced, or the request has ended."""
        while self.outcome is None and (self.buffered or self.produced <= sent):
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
