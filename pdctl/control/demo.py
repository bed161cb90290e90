"""`demo`: simulated nodes, the ordinary `up`, a load through the router, the ordinary `down`, and an honest summary."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pdctl.control.cluster import Cluster
from pdctl.control.demo_moves import MovesOutcome, shuttle
from pdctl.control.demo_nodes import DemoFleet, FleetOptions
from pdctl.control.demo_record import DemoNodes, Leftover
from pdctl.control.down import down
from pdctl.control.journal import Session
from pdctl.control.opened import Opened, open_cluster
from pdctl.control.ports import NotAnswering
from pdctl.control.status import State, status
from pdctl.control.steps.routing import router_url
from pdctl.control.up import UpOptions, up
from pdctl.engines.probes import parse_load
from pdctl.model.load import LoadReport, LoadRunner, LoadSpec
from pdctl.model.outcome import OutcomeCounts, RequestResult
from pdctl.model.role import Role


@dataclass(frozen=True, slots=True)
class DemoLoad:
    """What the demo serves: lengths in tokens. Half of the requests are streamed, half buffered.

    `moves`: nodes change their roles meanwhile, so many times; the load lasts as long as that takes.
    """

    requests: int = 400
    concurrency: int = 16
    isl: int = 512
    osl: int = 32
    stream_share: float = 0.5
    moves: int = 0


@dataclass(frozen=True, slots=True)
class KvFigures:
    """What both sides counted while the load ran. None: an engine's figure could not be read.

    `prefill` and `decode` are hand-offs that each side saw through (the simulated engine counts them; vLLM 0.33 does
    not); `tokens` came to decode by KV transfer; `local_compute` are prompt tokens that decode had to compute itself
    (0 where KV really moved).
    """

    prefill: int | None
    decode: int | None
    tokens: int | None
    local_compute: int | None

    @property
    def handoffs(self) -> int | None:
        """Hand-offs that both sides saw: the smaller count."""
        return None if self.prefill is None or self.decode is None else min(self.prefill, self.decode)

    def since(self, before: KvFigures) -> KvFigures:
        def less(now: int | None, then: int | None) -> int | None:
            return None if now is None or then is None else now - then

        return KvFigures(
            less(self.prefill, before.prefill),
            less(self.decode, before.decode),
            less(self.tokens, before.tokens),
            less(self.local_compute, before.local_compute),
        )


@dataclass(slots=True)
class DemoOutcome:
    """What a demo came to; filled as it goes, so that an interrupted one can still be told."""

    nodes: int = 0
    layout: str = ""
    mode: str = ""
    up_code: int | None = None
    down_code: int | None = None
    up_s: float = 0.0
    down_s: float = 0.0
    report: LoadReport | None = None
    moves: MovesOutcome | None = None
    kv: KvFigures = field(default_factory=lambda: KvFigures(None, None, None, None))
    leftovers: tuple[Leftover, ...] = ()
    interrupted: bool = False

    @property
    def counts(self) -> OutcomeCounts:
        return self.report.counts if self.report else OutcomeCounts()

    @property
    def exit_code(self) -> int:
        """0 only if all came up, every request was answered whole, all went down and nothing is left; 130 if the
        operator ended it before that."""
        if self.up_code:
            return self.up_code
        if self.down_code or self.leftovers or self.counts.failed:
            return 130 if self.down_code == 130 else 1
        if self.interrupted:
            return 130
        if self.moves is not None and not (self.moves.whole and self.moves.cut == 0):
            return 1
        return 0 if self.counts.ok > 0 else 1


UNCOUNTED = 1_000_000_000
WARM_S = 2.0
"""The load runs for this long before the first move and after the last one."""

OnResult = Callable[[RequestResult], None]
T = TypeVar("T")


async def run_demo(
    options: FleetOptions, load: DemoLoad, runner: LoadRunner, session: Session, on_result: OnResult | None = None
) -> DemoOutcome:
    """Nodes, up, load, down, and the end of everything that ran.

    An interrupt ends `up` or the load in order and leads to `down`; a second one leaves it to the nodes' end to kill
    all that runs on them.
    Raises PdctlError if the simulated nodes do not start.
    """
    outcome = DemoOutcome(layout=options.layout, mode=options.mode)
    with tempfile.TemporaryDirectory(prefix="pdctl-demo-") as directory:
        fleet = DemoFleet(Path(directory), options)
        async with fleet as nodes:
            outcome.nodes = len(nodes.nodes)
            await _serve(nodes, load, runner, session, outcome, on_result)
        outcome.leftovers = fleet.leftovers
    return outcome


async def _serve(
    nodes: DemoNodes,
    load: DemoLoad,
    runner: LoadRunner,
    session: Session,
    outcome: DemoOutcome,
    on_result: OnResult | None,
) -> None:
    async with open_cluster(nodes.inventory) as opened:
        clock = opened.cluster.clock
        began = clock.monotonic()
        outcome.up_code = await up(opened, UpOptions(), session)
        outcome.up_s = clock.monotonic() - began
        if outcome.up_code == 0:
            before = await kv_figures(opened.cluster)
            if load.moves:
                outcome.moves = MovesOutcome(load.moves)
                outcome.report = await _moved_under_load(opened, load, runner, session, on_result, outcome.moves)
            else:
                outcome.report = await serve_load(opened, load, runner, session, on_result)
                outcome.kv = (await kv_figures(opened.cluster)).since(before)
        began = clock.monotonic()
        # The first interrupt asked for this very `down`, so it does not count as one of its own.
        going = down(opened, Session(session.sink, type(session.interrupt)(), session.run))
        code = await _unless(session.interrupt.insisted, going)
        outcome.down_code = 130 if code is None else code
        outcome.down_s = clock.monotonic() - began
        outcome.interrupted = session.interrupt.asked.is_set()


async def _moved_under_load(
    opened: Opened,
    load: DemoLoad,
    runner: LoadRunner,
    session: Session,
    on_result: OnResult | None,
    moves: MovesOutcome,
) -> LoadReport | None:
    """The load's report, which begins before the first move and ends after the last one."""
    over = asyncio.Event()

    async def moving() -> None:
        try:
            await asyncio.sleep(WARM_S)
            await _unless(session.interrupt.insisted, shuttle(opened.inventory.path, moves, session))
            await asyncio.sleep(WARM_S if moves.whole else 0.0)
        finally:
            over.set()

    task = asyncio.create_task(moving())
    try:
        return await serve_load(opened, load, runner, session, on_result, over)
    finally:
        await task


@asynccontextmanager
async def demo_cluster(options: FleetOptions) -> AsyncIterator[Opened]:
    """Simulated nodes and their cluster, nothing started on them yet; with the context everything on them ends.

    Raises PdctlError if the nodes do not start.
    """
    with tempfile.TemporaryDirectory(prefix="pdctl-demo-") as directory:
        async with DemoFleet(Path(directory), options) as nodes, open_cluster(nodes.inventory) as opened:
            yield opened


async def serve_load(
    opened: Opened,
    load: DemoLoad,
    runner: LoadRunner,
    session: Session,
    on_result: OnResult | None,
    over: asyncio.Event | None = None,
) -> LoadReport | None:
    """The load's report, of what was sent where the operator ended it, or `over` is set; None if they insisted on now.

    With `over` it lasts until then, however many requests that makes.
    """
    asked = session.interrupt.asked

    def stop() -> bool:
        return asked.is_set() or (over is not None and over.is_set())

    spec = LoadSpec(
        url=router_url(opened.deployment),
        model=opened.deployment.model.name,
        concurrency=load.concurrency,
        isl=load.isl,
        osl=load.osl,
        requests=load.requests if over is None else UNCOUNTED,
        stream_share=load.stream_share,
        deadline_s=120.0,
    )
    return await _unless(session.interrupt.insisted, runner(spec, on_result, stop))


async def _unless(cut: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """What `work` comes to; None if `cut` was set before, and then it was cancelled."""
    running, cutting = asyncio.ensure_future(work), asyncio.create_task(cut.wait())
    try:
        waits: set[asyncio.Future[Any]] = {running, cutting}
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        cutting.cancel()
        if not running.done():
            running.cancel()
            await asyncio.wait({running})
    return None if running.cancelled() else running.result()


async def kv_figures(cluster: Cluster) -> KvFigures:
    """Sums over the engines of what each side has counted since it started; unknown where one cannot be asked."""
    seen = await status(cluster)
    sums: dict[str, float | None] = {"prefill": 0.0, "decode": 0.0, "tokens": 0.0, "local": 0.0}

    def add(name: str, value: float | None) -> None:
        held = sums[name]
        sums[name] = None if held is None or value is None else held + value

    for view in seen.instances:
        serves = view.state is State.SERVING
        text = (
            await _metrics(cluster, view.node, view.endpoint) if serves else ""
        )  # one that died took its counts along
        figures = parse_load(text)
        if view.role == Role.PREFILL:
            add("prefill", _handoffs(text, "sent"))
        if view.role == Role.DECODE:
            add("decode", _handoffs(text, "received"))
            add("tokens", figures.external_kv_tokens)
            add("local", figures.local_compute_tokens)
    whole = {name: None if value is None else int(value) for name, value in sums.items()}
    return KvFigures(whole["prefill"], whole["decode"], whole["tokens"], whole["local"])


def _handoffs(text: str, direction: str) -> float | None:
    found = re.findall(
        rf'^pdctl_sim_kv_handoffs_total{{[^}}]*direction="{direction}"[^}}]*}} (\S+)$', text, re.MULTILINE
    )
    return sum(float(value) for value in found) if found else None


async def _metrics(cluster: Cluster, node: str, endpoint: str) -> str:
    try:
        answer = await cluster.http.request(node, "GET", f"http://{endpoint}/metrics", timeout_s=5.0)
    except NotAnswering:
        return ""
    return answer.text if answer.status == 200 else ""
