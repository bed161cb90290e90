"""Wait until a fenced instance has nothing in flight.

Drained means that every figure of `in_flight` is known and 0 for the whole settle window. At the deadline the wait is
over: where a stop follows, what is left will be cut, and is counted and named; where none does, the step fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pdctl.control.steps.context import RunContext, endpoint_of_running
from pdctl.control.steps.in_flight import InFlight, in_flight
from pdctl.errors import InstanceError, NodeError
from pdctl.model.unit import UnitState
from pdctl.plan.steps import Step

POLL_S = 0.5


@dataclass(slots=True)
class _Wait:
    """One drain under way. Times are monotonic seconds; `last`: the newest figures of an engine that still listened."""

    began_s: float
    at_fence: InFlight | None
    last: InFlight | None = None
    idle_since_s: float | None = None
    unknown_s: float = 0.0
    looked_s: float | None = None

    def take(self, seen: InFlight, now_s: float) -> None:
        if self.at_fence is None:
            self.at_fence = seen
        if seen.unknown and self.looked_s is not None:
            self.unknown_s += now_s - self.looked_s
        self.looked_s = now_s
        if seen.engine.listens or self.last is None:
            self.last = seen
        if not seen.drained:
            self.idle_since_s = None
        elif self.idle_since_s is None:
            self.idle_since_s = now_s

    def told(self, now_s: float, *, drained: bool, cut: int, why: str = "") -> Mapping[str, Any]:
        """The detail of the step: what was in flight at the fence, each phase's time, and what will be cut."""
        assert self.at_fence is not None
        assert self.last is not None
        detail: dict[str, Any] = {
            "drained": drained,
            "cut": cut,
            "in_flight_at_fence": self.at_fence.requests,
            "at_fence": self.at_fence.left,
            "drained_s": round(now_s - self.began_s, 3),
        }
        if self.idle_since_s is not None:
            detail["emptied_s"] = round(self.idle_since_s - self.began_s, 3)
        if self.unknown_s:
            detail["unknown_s"] = round(self.unknown_s, 3)
        if not drained:
            detail["left"] = self.last.left
        return {**detail, "why": why} if why else detail


async def drain(
    ctx: RunContext, step: Step, *, deadline_s: float | None = None, must: bool = False
) -> Mapping[str, Any]:
    """Until the instance is drained, or the deadline passes (None: `budgets.drain`).

    With `must` nothing stops it afterwards: what is not drained at the deadline is a failure then (InstanceError), and
    runs on. Without, the detail tells how many requests will be cut (`cut`, a lower bound) and which (`left`).
    """
    unit = ctx.observed.unit(step.subject)
    if unit is not None and unit.state is UnitState.UNKNOWN:
        return _unknown(step, must)
    endpoint = endpoint_of_running(unit)
    if endpoint is None:
        return {"drained": True, "cut": 0, "why": "not running"}
    clock, budgets = ctx.clock, ctx.deployment.budgets
    limit_s = budgets.drain_s if deadline_s is None else deadline_s
    wait = _Wait(clock.monotonic(), ctx.at_fence.get(step.subject))
    while True:
        seen = await in_flight(ctx, step.node, endpoint)
        now_s = clock.monotonic()
        if not seen.engine.listens and await _is_dead(ctx, step):
            lost = wait.last.requests if wait.last is not None else 0
            wait.take(seen, now_s)
            return wait.told(now_s, drained=not lost, cut=lost, why="the engine ended while it drained")
        wait.take(seen, now_s)
        if wait.idle_since_s is not None and now_s - wait.idle_since_s >= budgets.settle_s:
            return wait.told(now_s, drained=True, cut=0)
        if now_s - wait.began_s >= limit_s:
            if must:
                raise _not_drained(step, seen, limit_s)
            return wait.told(now_s, drained=False, cut=seen.requests, why=seen.words())
        ctx.progress(step, "settling" if seen.drained else seen.words())
        await clock.sleep(POLL_S)


def _unknown(step: Step, must: bool) -> Mapping[str, Any]:
    why = "its state could not be read, so what it has in flight is not known"
    if must:
        raise InstanceError(step.subject, why, hint="`pdctl status` says why; the same command waits again")
    return {"drained": False, "cut": 0, "why": why}


def _not_drained(step: Step, seen: InFlight, limit_s: float) -> InstanceError:
    return InstanceError(
        step.subject,
        f"is not drained after {limit_s:g} s: {seen.words()}; nothing was cut, it is fenced and what it has runs on",
        hint="the same command waits again; with `--stop` it is stopped at the deadline, and what is left is cut",
    )


async def _is_dead(ctx: RunContext, step: Step) -> bool:
    try:
        view = await ctx.cluster.glance(step.node, 1.0)
    except NodeError:
        return False
    unit = next((unit for unit in view.units if unit.labels.instance == step.subject), None)
    return unit is None or unit.state in (UnitState.FAILED, UnitState.EXITED, UnitState.ABSENT)
