"""Wait until a fenced instance has nothing in flight, by the router's figures and by its own.

The router picks the pair before the prefill leg, so a fenced decode can still be handed a request as long as a prefill
queues (seen 9 s after the fence with vllm-router 0.1.17): an idle engine alone proves nothing. Drained means that the
router's pending, active and occupancy figures of the worker and the engine's running, waiting and held KV are all 0 for
the whole settle window. A figure that cannot be read is unknown, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pdctl.control.ports import NotAnswering, NotListening
from pdctl.control.steps.context import RunContext, endpoint_of_running
from pdctl.engines.probes import parse_load
from pdctl.errors import NodeError
from pdctl.model.unit import UnitState
from pdctl.plan.steps import Step
from pdctl.routers.metrics import parse_router_load
from pdctl.routers.ports import router_ports

POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class InFlight:
    """What is still in flight for one instance. None: could not be read. Counts are requests; `kv_usage` is 0..1."""

    running: float | None
    waiting: float | None
    kv_usage: float | None
    router_pending: float | None
    router_active: float | None
    router_occupancy: float | None

    @property
    def drained(self) -> bool:
        return all(figure == 0 for figure in self._figures().values())

    @property
    def requests(self) -> int:
        """A lower bound of what would be cut now."""
        engine = (self.running or 0) + (self.waiting or 0)
        router = (self.router_pending or 0) + (self.router_active or 0)
        return int(max(engine, router))

    def _figures(self) -> dict[str, float | None]:
        return {
            "running": self.running,
            "waiting": self.waiting,
            "KV in use": self.kv_usage,
            "pending at the router": self.router_pending,
            "active at the router": self.router_active,
            "prefills at the router": self.router_occupancy,
        }

    def words(self) -> str:
        """What is left, or cannot be read."""
        left = [f"{name} {value:g}" for name, value in self._figures().items() if value]
        unknown = [name for name, value in self._figures().items() if value is None]
        return ", ".join([*left, *(f"{name} unknown" for name in unknown)]) or "settling"


async def drain(ctx: RunContext, step: Step) -> Mapping[str, Any]:
    """Until the instance is drained or the drain deadline passes; the detail says how many requests will be cut."""
    endpoint = endpoint_of_running(ctx.observed.unit(step.subject))
    if endpoint is None:
        return {"drained": True, "cut": 0, "why": "not running"}
    clock, budgets = ctx.clock, ctx.deployment.budgets
    began = clock.monotonic()
    idle_since: float | None = None
    at_fence: int | None = None
    while True:
        seen = await in_flight(ctx, step.node, endpoint)
        now = clock.monotonic()
        at_fence = seen.requests if at_fence is None else at_fence
        if seen.drained:
            idle_since = now if idle_since is None else idle_since
            if now - idle_since >= budgets.settle_s:
                return {"drained": True, "cut": 0, "in_flight_at_fence": at_fence, "drained_s": round(now - began, 3)}
        else:
            idle_since = None
            if await _is_dead(ctx, step):
                return {"drained": True, "cut": 0, "why": "the engine ended while it drained"}
        if now - began >= budgets.drain_s:
            return {"drained": False, "cut": seen.requests, "in_flight_at_fence": at_fence, "why": seen.words()}
        ctx.progress(step, seen.words())
        await clock.sleep(POLL_S)


async def in_flight(ctx: RunContext, node: str, endpoint: tuple[str, int]) -> InFlight:
    """The figures of one instance now, by the engine and by the router."""
    worker = f"{endpoint[0]}:{endpoint[1]}"
    return InFlight(*await _engine_figures(ctx, node, worker), *await _router_figures(ctx, worker))


async def _engine_figures(ctx: RunContext, node: str, worker: str) -> tuple[float | None, float | None, float | None]:
    try:
        text = await _metrics(ctx, node, f"http://{worker}/metrics")
    except NotListening:
        return 0, 0, 0  # still loading, or its API server is gone: no answer can reach anybody any more
    load = parse_load(text) if text is not None else None
    return (load.running, load.waiting, load.kv_usage) if load else (None, None, None)


async def _router_figures(ctx: RunContext, worker: str) -> tuple[float | None, float | None, float | None]:
    if ctx.deployment.router.node in ctx.observed.unreachable:
        return None, None, None
    if not ctx.router_runs:
        return 0, 0, 0  # no router runs, so none holds a request for this worker
    ports = router_ports(ctx.deployment.router)
    try:
        text = await _metrics(ctx, ctx.deployment.router.node, f"http://127.0.0.1:{ports.metrics}/metrics")
    except NotListening:
        return None, None, None
    if text is None:
        return None, None, None
    load = parse_router_load(text, worker)
    return load.pending, load.active, load.occupancy


async def _metrics(ctx: RunContext, node: str, url: str) -> str | None:
    """The text; None where it cannot be had. Raises NotListening."""
    try:
        answer = await ctx.cluster.http.request(node, "GET", url, timeout_s=5.0)
    except NotListening:
        raise
    except NotAnswering:
        return None
    return answer.text if answer.status == 200 else None


async def _is_dead(ctx: RunContext, step: Step) -> bool:
    try:
        view = await ctx.cluster.glance(step.node, 1.0)
    except NodeError:
        return False
    unit = next((unit for unit in view.units if unit.labels.instance == step.subject), None)
    return unit is None or unit.state in (UnitState.FAILED, UnitState.EXITED, UnitState.ABSENT)
