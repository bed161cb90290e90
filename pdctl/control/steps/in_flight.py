"""What is still in flight for one instance, by its own figures and by the router's.

The router picks the pair before the prefill leg, so a fenced decode can still be handed a request as long as a prefill
queues (seen 9 s after the fence with vllm-router 0.1.17): an idle engine alone proves nothing. A prefill in READ mode
holds the KV of an answered request until its decode has pulled it: no connector exports that as a gauge of its own
(vLLM 0.33: MoRI-IO has none, NIXL counts what is over), but the blocks stay in `kv_cache_usage_perc`.
A figure that cannot be read is None: unknown, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pdctl.control.ports import NotAnswering, NotListening
from pdctl.control.steps.context import RunContext
from pdctl.engines.probes import parse_load
from pdctl.routers.metrics import parse_router_load
from pdctl.routers.ports import router_ports


@dataclass(frozen=True, slots=True)
class EngineHas:
    """By the engine: requests that run and wait, those of them that wait for KV of a peer, and KV blocks in use, 0..1.

    `fetching` is 0 where the engine exports no such gauge (vLLM before 0.33, and prefills). `listens` False: it refuses
    connections, so no answer of it can reach anybody.
    """

    running: float | None = None
    waiting: float | None = None
    kv_usage: float | None = None
    fetching: float | None = None
    listens: bool = True


@dataclass(frozen=True, slots=True)
class RouterHas:
    """By the router: legs that it holds for this worker."""

    pending: float | None = None
    active: float | None = None
    occupancy: float | None = None


@dataclass(frozen=True, slots=True)
class InFlight:
    """Both sides' figures of one moment."""

    engine: EngineHas
    router: RouterHas

    @property
    def drained(self) -> bool:
        """Whether every figure is known and 0."""
        return all(figure == 0 for figure in self.figures.values())

    @property
    def unknown(self) -> tuple[str, ...]:
        """Names of the figures that could not be read."""
        return tuple(name for name, figure in self.figures.items() if figure is None)

    @property
    def left(self) -> Mapping[str, float]:
        """By name, the figures that are not 0: requests, and a share for KV."""
        return {name: round(figure, 6) for name, figure in self.figures.items() if figure}

    @property
    def requests(self) -> int:
        """A lower bound of the requests that would be cut now."""
        engine = (self.engine.running or 0) + (self.engine.waiting or 0)
        router = (self.router.pending or 0) + (self.router.active or 0) + (self.router.occupancy or 0)
        return int(max(engine, router))

    @property
    def figures(self) -> Mapping[str, float | None]:
        """Every figure that must be 0, by the name that operators read."""
        return {
            "running": self.engine.running,
            "waiting": self.engine.waiting,
            "KV in use": self.engine.kv_usage,
            "fetching KV": self.engine.fetching,
            "pending at the router": self.router.pending,
            "active at the router": self.router.active,
            "prefills at the router": self.router.occupancy,
        }

    def words(self) -> str:
        """What is left, or cannot be read: `running 3, KV in use 12%, waiting unknown`."""
        told = [f"{name} {_told(name, figure)}" for name, figure in self.left.items()]
        return ", ".join([*told, *(f"{name} unknown" for name in self.unknown)]) or "nothing in flight"


async def in_flight(ctx: RunContext, node: str, endpoint: tuple[str, int]) -> InFlight:
    """The figures of one instance now."""
    worker = f"{endpoint[0]}:{endpoint[1]}"
    return InFlight(await _engine(ctx, node, worker), await _router(ctx, worker))


def _told(name: str, figure: float) -> str:
    return f"{figure:.1%}" if name == "KV in use" else f"{figure:g}"


async def _engine(ctx: RunContext, node: str, worker: str) -> EngineHas:
    try:
        text = await _metrics(ctx, node, f"http://{worker}/metrics")
    except NotListening:
        return EngineHas(0, 0, 0, 0, listens=False)  # still loading, or its API server is gone
    if text is None:
        return EngineHas()
    load = parse_load(text)
    return EngineHas(load.running, load.waiting, load.kv_usage, load.fetching or 0)


async def _router(ctx: RunContext, worker: str) -> RouterHas:
    if ctx.deployment.router.node in ctx.observed.unreachable:
        return RouterHas()
    if not ctx.router_runs:
        return RouterHas(0, 0, 0)  # no router runs, so none holds a request for this worker
    ports = router_ports(ctx.deployment.router)
    try:
        text = await _metrics(ctx, ctx.deployment.router.node, f"http://127.0.0.1:{ports.metrics}/metrics")
    except NotListening:
        return RouterHas()
    if text is None:
        return RouterHas()
    load = parse_router_load(text, worker)
    return RouterHas(load.pending, load.active, load.occupancy)


async def _metrics(ctx: RunContext, node: str, url: str) -> str | None:
    """The text; None where it cannot be had. Raises NotListening."""
    try:
        answer = await ctx.cluster.http.request(node, "GET", url, timeout_s=5.0)
    except NotListening:
        raise
    except NotAnswering:
        return None
    return answer.text if answer.status == 200 else None
