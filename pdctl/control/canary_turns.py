"""Canaries beside the traffic: when the next one goes, between whom, and what keeps them silent."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from pdctl.control.canaries import Canaries
from pdctl.control.fence_end import EndFencer
from pdctl.control.history import running_command
from pdctl.model.figure import Figure
from pdctl.model.role import Role
from pdctl.model.snapshot import WINDOWS_S, Alert, Snapshot, Vital
from pdctl.telemetry.pairs import LOAD_SHARE, gap_s

LONG_S: Final = WINDOWS_S[-1]
STEP_S: Final = 5.0
"""How long it waits at most before it looks at the traffic, and at who is at work, anew."""


@dataclass(slots=True)
class CanaryTurns:
    """Run it as a task. `latest`: the newest snapshot; `budget`: canaries per request of clients; `fencer`: takes the
    end out of service that broken pairs have in common, where somebody asked for that.

    Canaries are silent while an operator paused them (`Canaries.pause`), and while a command is at work on the cluster:
    what it drains must come to rest. They go only between members that are up, so never to an end that drains.
    """

    canaries: Canaries
    latest: Callable[[], Snapshot | None]
    budget: float = LOAD_SHARE
    fencer: EndFencer | None = None
    at_work: str = ""  # the command that they wait for
    _asked_s: float = float("-inf")  # when it was last asked for
    _sent_s: deque[float] = field(default_factory=deque)  # when canaries were sent, of the longest window

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know of the pairs: why their results grow old."""
        why = f"paused: {self.canaries.paused}" if self.canaries.paused else self.at_work
        return (f"no canaries now: {why}",) if why else ()

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """What the fencer did, or could not do."""
        return self.fencer.alerts(self.latest()) if self.fencer is not None else ()

    async def run(self) -> None:
        """One canary after the other, until cancelled."""
        tried = 0
        while True:
            await self._turn()
            pairs = len(self.canaries.ends(Role.PREFILL)) * len(self.canaries.ends(Role.DECODE))
            if pairs and tried % pairs == 0:
                self.canaries.ask_anew()
            if await self.canaries.one(self._fit()) is not None:
                tried += 1
                self._sent_s.append(self.canaries.cluster.clock.monotonic())
            if self.fencer is not None:
                await self.fencer.consider(self.canaries, self.latest())

    async def _turn(self) -> None:
        """Until the next one may go."""
        clock, waited_s = self.canaries.cluster.clock, 0.0
        while True:
            while waited_s < (gap := self._gap_s()) or self.canaries.paused:  # traffic may change while it waits
                step_s = min(STEP_S, gap - waited_s) if waited_s < gap else STEP_S
                await clock.sleep(step_s)
                waited_s += step_s
            if clock.monotonic() - self._asked_s >= STEP_S:
                self._asked_s = clock.monotonic()
                command = await running_command(self.canaries.cluster)
                self.at_work = f"`pdctl {command}` is at work" if command else ""
            if not self.at_work and not self.canaries.paused:
                return
            waited_s = 0.0

    def _gap_s(self) -> float:
        snapshot, now_s = self.latest(), self.canaries.cluster.clock.monotonic()
        while self._sent_s and now_s - self._sent_s[0] > LONG_S:
            self._sent_s.popleft()
        rate = None if snapshot is None else clients_per_s(snapshot, len(self._sent_s))
        return gap_s(rate, self.budget)

    def _fit(self) -> frozenset[str]:
        """Those that a canary may go to now: up, and members still, as far as is known."""
        snapshot = self.latest()
        those = snapshot.instances.values() if snapshot is not None else ()
        return frozenset(each.name for each in those if each.vital is Vital.UP and each.member)


def clients_per_s(snapshot: Snapshot, canaries: int) -> float | None:
    """Requests of clients per second; None where nobody can say. `canaries`: how many were sent in the longest window.

    The router's word is of ten seconds, which of light traffic may well pass without a request, and some routers have
    none to say: so it is also what prefill engines finished in the longest window, but for the canaries.
    """
    rates = [snapshot.router.requests.middle] if isinstance(snapshot.router.requests, Figure) else []
    windows = [pool.windows[LONG_S] for pool in snapshot.pools.values() if pool.role is Role.PREFILL]
    finished = [window.flow.requests.middle for window in windows if isinstance(window.flow.requests, Figure)]
    if finished:
        covered_s = max(window.covered_s for window in windows)
        rates.append(max(0.0, sum(finished) - canaries / max(covered_s, 1.0)))
    return max(rates, default=None)
