"""Part of the registrar: which members are fit to be registered.

Three bad /health answers in a row withhold a member, two good ones bring it back. A 200 from /health is no proof of
life (vLLM gives it while it hangs), so work without progress counts as bad as well.
"""

import threading
import time
from typing import Dict, List, NamedTuple, Optional, Set, Tuple

from pdctl.routers.registrar_wire_on_node import FAILURES, Json, http

BAD_LIMIT = 3
GOOD_LIMIT = 2
RUNNING, WAITING = "vllm:num_requests_running", "vllm:num_requests_waiting"
STEPS, TOKENS = "vllm:iteration_tokens_total_count", "vllm:generation_tokens_total"
BY_REASON, DEFERRED = "vllm:num_requests_waiting_by_reason", 'reason="deferred"'


class Work(NamedTuple):
    """An engine's figures: requests that it could step now, and counters that move with every step."""

    busy: float
    progress: float


def read_work(text: str) -> Optional[Work]:
    """The figures of one engine's /metrics (vLLM 0.33), summed over its DP ranks; None where one is missing: unknown.

    Requests that wait for remote KV (`deferred`, vLLM >= 0.21) are not this engine's to step and do not count.
    """
    wanted = (RUNNING, WAITING, STEPS, TOKENS)
    sums: Dict[str, float] = {}
    for line in text.splitlines():
        name = line.partition("{")[0].partition(" ")[0]
        if name == BY_REASON and DEFERRED in line:
            name = DEFERRED
        elif name not in wanted:
            continue
        try:
            sums[name] = sums.get(name, 0.0) + float(line.rsplit(None, 1)[1])
        except (ValueError, IndexError):
            return None
    if any(name not in sums or sums[name] != sums[name] for name in wanted):  # NaN is unknown too
        return None
    waiting = max(0.0, sums[WAITING] - sums.get(DEFERRED, 0.0))
    return Work(sums[RUNNING] + waiting, sums[STEPS] + sums[TOKENS])


class Health:
    """What the polls of one member add up to. `since` is when it became unfit (monotonic), None while fit."""

    def __init__(self, hung_s: float, unfit_since: Optional[float] = None) -> None:
        """`unfit_since`: a former registrar withheld it; it has to earn its return."""
        self.hung_s = hung_s
        self.good = 0
        self.bad = 0
        self.last = "not asked yet" if unfit_since is None else "bad before the registrar's restart"
        self.since = unfit_since
        self._progress: Optional[float] = None
        self._stuck_since = None if unfit_since is None else unfit_since - hung_s

    def observe(self, now: float, fault: str, work: Optional[Work]) -> None:
        """One poll: `fault` is "" for a good /health; `work` is None where /metrics told nothing (no change)."""
        if work is not None:
            moved = self._progress is not None and work.progress != self._progress
            if not work.busy:
                self._stuck_since = None
            elif moved or self._stuck_since is None:
                self._stuck_since = now
            self._progress = work.progress
            if not fault and self._stuck_since is not None and now - self._stuck_since >= self.hung_s:
                fault = "hung: work but no progress for {:.0f} s".format(now - self._stuck_since)
        self.last = fault or "ok"
        self.good, self.bad = (0, self.bad + 1) if fault else (self.good + 1, 0)
        if self.bad >= BAD_LIMIT and self.since is None:
            self.since = now
        elif self.good >= GOOD_LIMIT:
            self.since = None


class Poller(threading.Thread):
    """Polls one member for as long as it is one. A thread each, so that a hung member delays no other."""

    def __init__(self, address: str, health: Health, every_s: float) -> None:
        super().__init__(daemon=True)
        self.health = health
        self.ended = threading.Event()
        self._address = address
        self._every_s = every_s

    def run(self) -> None:
        while True:
            fault, work = self._poll()
            self.health.observe(time.monotonic(), fault, work)
            if self.ended.wait(self._every_s):
                return

    def _poll(self) -> Tuple[str, Optional[Work]]:
        try:
            status, _ = http("GET", self._address, "/health")
        except FAILURES as error:
            return "/health: {}".format(error), None
        if status != 200:
            return "/health answers {}".format(status), None
        try:
            status, body = http("GET", self._address, "/metrics")
        except FAILURES:
            return "", None
        return "", read_work(body.decode("utf-8", "replace")) if status == 200 else None


def choose_withheld(members: List[Json], unfit: Dict[str, float]) -> Tuple[Set[str], List[str]]:
    """Names to withhold, and alerts for those that ought to be but are not. `unfit`: name -> since when.

    Never the last member of a role and never more than half of one: a fault that hits most of them is rather ours or
    the network's, and a bad member beats none. The first to fall ill is the first withheld.
    """
    withheld: Set[str] = set()
    alerts: List[str] = []
    for role in sorted({member["type"] for member in members}):
        names = [member["name"] for member in members if member["type"] == role]
        ill = sorted((name for name in names if name in unfit), key=lambda name: (unfit[name], name))
        allowed = len(names) // 2
        withheld.update(ill[:allowed])
        reason = "{} is bad but stays registered: no more than {} of {} members of type {} may be withheld"
        alerts += [reason.format(name, allowed, len(names), role) for name in ill[allowed:]]
    return withheld, alerts
