"""The engine core: one loop that steps all ranks together, at the pace of the step-time equation.

Pacing is by deadlines: a step begins where the previous one was due to end, so a late wake-up is not added up. An idle
core waits on an event. Requests leave no trace in here once they have ended and their blocks are free.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from pdctl.perf.step_time import StepConstants, step_time_s
from pdctl.sim.faults import Faults
from pdctl.sim.kv_connector import EngineDied, KvConnector
from pdctl.sim.scheduler import RankScheduler, RankStep
from pdctl.sim.sim_request import Phase, SimRequest

CATCH_UP_S = 0.1
"""Lateness that is made up for by shorter steps; more than that (a starved machine) is lost."""


class Observer(Protocol):
    """Hears of everything that becomes a metric or a line of the request log."""

    def step(self, rank: int, prompt_tokens: int, generated: int) -> None: ...

    def token(self, request: SimRequest, gap_s: float | None) -> None:
        """A token came; `gap_s` since the one before, None for the first."""
        ...

    def ended(self, request: SimRequest) -> None: ...


class EngineCore:
    """Runs requests on lock-step ranks. Construct, `await start()`, then `submit` and `abort` from the same loop."""

    def __init__(
        self,
        ranks: Sequence[RankScheduler],
        constants: StepConstants,
        connector: KvConnector,
        observer: Observer,
        faults: Faults,
        *,
        speed: float = 1.0,
        recompute_lost_kv: bool = False,
        clock: Callable[[], float] = time.monotonic,
        on_late: Callable[[float], None] | None = None,
    ) -> None:
        """`on_late` hears of every step how many seconds after it was due the event loop came round to end it."""
        self.ranks = tuple(ranks)
        self.clock = clock
        self.draining = False  # SIGTERM was seen: new requests are aborted
        self.paused: str | None = None  # dev mode's /pause: "abort", "wait" or "keep"
        self.cause_of_death: str | None = None
        self.died = asyncio.Event()
        self._constants = constants
        self._connector = connector
        self._observer = observer
        self._faults = faults
        self._speed = speed
        self._recompute = recompute_lost_kv
        self._on_late = on_late
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._loop_task: asyncio.Task[None] | None = None
        self._due_s = float("-inf")
        faults.subscribe(self._work.set)

    @property
    def unfinished(self) -> int:
        return sum(rank.unfinished for rank in self.ranks)

    @property
    def pinned(self) -> int:
        """Finished prefills whose KV no peer has taken yet."""
        return sum(rank.pinned for rank in self.ranks)

    async def start(self) -> None:
        await self._connector.start(self)
        self._loop_task = asyncio.get_running_loop().create_task(self._run(), name="engine-core")

    async def close(self) -> None:
        if self._loop_task is not None:
            self._loop_task.cancel()
            await asyncio.gather(self._loop_task, return_exceptions=True)
        await self._connector.close()

    def least_loaded_rank(self) -> int:
        """vLLM's internal load balancer: a waiting request weighs four running ones."""
        return min(
            range(len(self.ranks)),
            key=lambda rank: 4 * len(self.ranks[rank].waiting) + len(self.ranks[rank].running),
        )

    def submit(self, request: SimRequest) -> None:
        """Queue a request on its rank. A draining core answers it with an abort, a dead one with an error."""
        if self.cause_of_death is not None:
            self._refuse(request, "dead")
            return
        if self.draining:
            self._refuse(request, "abort")
            return
        try:
            self._connector.classify(request)
        except EngineDied as error:
            self._refuse(request, "dead")
            self.die(str(error))
            return
        self.ranks[request.rank].add(request)
        self._idle.clear()
        self._work.set()

    def abort(self, request: SimRequest) -> None:
        """End a request now: its client left. Ended already: no change."""
        if request.outcome is None:
            request.client_left = True
        self._finish(request, "abort")

    def abort_all(self, outcome: str = "abort") -> int:
        """End every request; how many there were."""
        requests = [
            request
            for rank in self.ranks
            for request in (*rank.running, *tuple(rank.waiting), *tuple(rank.deferred.values()))
        ]
        for request in requests:
            self._finish(request, outcome)
        return len(requests)

    async def wait_idle(self, timeout_s: float) -> bool:
        """Wait until no request runs or waits and no KV is pinned; False when `timeout_s` ran out first."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def resume(self) -> None:
        self.paused = None
        self._work.set()

    def die(self, cause: str) -> None:
        """End as a real engine core does when a step raises; idempotent."""
        if self.cause_of_death is None:
            self.cause_of_death = cause
            self.abort_all("dead")
            self._work.set()
            self.died.set()

    def kv_landed(self, request: SimRequest, digest: int) -> None:
        """KvHost."""
        if self._faults.on_pair("broken_pair", request.raw_id):
            self.kv_failed(request)
        elif request.phase is Phase.DEFERRED:
            request.answer.digest = self._as_received(request, digest)
            self.ranks[request.rank].landed(request)
            self._work.set()

    def _as_received(self, request: SimRequest, digest: int) -> int:
        return ~digest if self._faults.on_pair("corrupt_pair", request.raw_id) else digest

    def kv_failed(self, request: SimRequest) -> None:
        """KvHost: fail or recompute, as kv_load_failure_policy says."""
        if request.phase is not Phase.DEFERRED:
            return
        if self._recompute:
            self.ranks[request.rank].recompute(request)
            self._work.set()
        else:
            self._finish(request, "error")

    def kv_released(self, request: SimRequest) -> None:
        """KvHost."""
        self.ranks[request.rank].unpin(request)
        self._work.set()  # room for those that wait for blocks
        self._note_idle()

    async def _run(self) -> None:
        while self.cause_of_death is None:
            self._work.clear()
            steps = [] if self._frozen() else [rank.schedule(self.clock()) for rank in self.ranks]
            for step in steps:
                for request in step.fetching:
                    self._connector.start_fetch(request)
            if not any(step.busy for step in steps):
                await self._work.wait()
                self._due_s = float("-inf")  # the next step starts when there is work, not where the last one ended
                continue
            try:
                await self._pull(steps)
            except EngineDied as error:
                self.die(str(error))
                return
            await self._pace(steps)
            self._deliver(steps)

    def _frozen(self) -> bool:
        return "hang" in self._faults or self.paused == "keep"

    async def _pull(self, steps: Sequence[RankStep]) -> None:
        """READ: KV is loaded inside the step, so a slow peer holds up everything that runs here."""
        pulls = [request for step in steps for request in step.pulls]
        if not pulls:
            return
        self._due_s = float("-inf")
        digests = await asyncio.gather(*(self._connector.pull(request) for request in pulls))
        for request, digest in zip(pulls, digests, strict=True):
            if digest is not None and not self._faults.on_pair("broken_pair", request.raw_id):
                request.answer.digest = self._as_received(request, digest)
            elif self._recompute and request.phase is Phase.RUNNING:
                request.computed = request.fetched = request.landed = 0
            else:
                self._finish(request, "error")

    async def _pace(self, steps: Sequence[RankStep]) -> None:
        duration_s = step_time_s(self._constants, [step.load for step in steps]) / self._speed
        now_s = self.clock()
        late_s = now_s - self._due_s
        begin_s = self._due_s if late_s <= CATCH_UP_S else now_s
        self._due_s = begin_s + duration_s
        await asyncio.sleep(max(0.0, self._due_s - now_s))
        if self._on_late is not None:
            self._on_late(self.clock() - self._due_s)

    def _deliver(self, steps: Sequence[RankStep]) -> None:
        now_s = self.clock()
        for index, (rank, step) in enumerate(zip(self.ranks, steps, strict=True)):
            if not step.busy:
                continue
            served = rank.advance(step)
            self._observer.step(index, step.prompt_tokens, len(served))
            for request in served:
                self._token(request, now_s)

    def _token(self, request: SimRequest, now_s: float) -> None:
        previous_s = request.last_token_s
        request.last_token_s = now_s
        if previous_s is None:
            request.first_token_s = now_s
            self._observer.token(request, None)
        else:
            gap_s = now_s - previous_s
            if gap_s > request.longest_gap_s:
                request.longest_gap_s = gap_s
            self._observer.token(request, gap_s)
        if request.produced >= request.answer.length:
            self._finish(request, request.answer.finish)
        else:
            request.wake()

    def _finish(self, request: SimRequest, outcome: str) -> None:
        if request.phase is Phase.FINISHED:
            return
        pin = self._connector.ended(request, outcome)
        self.ranks[request.rank].finish(request, outcome, self.clock(), pin=pin)
        self._observer.ended(request)
        request.wake()
        self._work.set()
        self._note_idle()

    def _refuse(self, request: SimRequest, outcome: str) -> None:
        request.phase = Phase.FINISHED
        request.outcome = outcome
        request.finished_s = self.clock()
        self._observer.ended(request)

    def _note_idle(self) -> None:
        if self.unfinished == 0 and self.pinned == 0:
            self._idle.set()
