"""`watch`: live telemetry of a cluster, one Snapshot per tick. Read-only, needs no lease.

Engines are scraped on their nodes, one held program per node. Which engines there are is asked anew every half minute,
and as soon as one falls silent; who is registered, every few seconds, from the registrar alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

import httpx

from pdctl.control.admission import has_hardware
from pdctl.control.canaries import Canaries
from pdctl.control.canary_turns import CanaryTurns
from pdctl.control.cluster import Cluster
from pdctl.control.expected import (
    expected_instances,
    holders,
    metrics_targets,
    moved_notes,
    take_membership,
    take_router,
    unseen_instances,
)
from pdctl.control.fence_end import EndFencer
from pdctl.control.history import read_holds
from pdctl.control.kv_shape import read_kv_shape
from pdctl.control.light_watch import LightWatch
from pdctl.control.observe import observe
from pdctl.control.without_gc import without_gc
from pdctl.errors import InstanceError, NodeError
from pdctl.model.hold import Holds
from pdctl.model.observed import Observed
from pdctl.model.reading import Unknown
from pdctl.model.snapshot import Alert, Snapshot, Source, Vital
from pdctl.routers.ports import planned_ports
from pdctl.telemetry.alerts import AlertBook, Change
from pdctl.telemetry.bottleneck import bottleneck
from pdctl.telemetry.builder import ROUTER_TARGET, SnapshotBuilder
from pdctl.telemetry.direct import DirectScraper
from pdctl.telemetry.families import ENGINE_FAMILIES, ROUTER, scraped_names
from pdctl.telemetry.kv_bytes import KvShape
from pdctl.telemetry.node_feed import Heard
from pdctl.telemetry.node_stream import NodeStream, Order
from pdctl.telemetry.prometheus import PrometheusError, PrometheusSource
from pdctl.telemetry.router import RouterSight

LOOK_S: Final = 30.0
LOOK_AGAIN_S: Final = 3.0
LOOK_TROUBLED_S: Final = 10.0
"""How often the units are looked at: every half minute; at once where an engine fell silent or is back, but not more
often than every three seconds; every ten as long as one is down or silent."""
FIRST_LOOK_S: Final = 5.0
"""Telemetry does not wait longer for a node that does not answer at the start; it is shown as unknown until it does."""
MEMBERS_S: Final = 2.0
PROMETHEUS_S: Final = 10.0


@dataclass(slots=True)
class Watch:
    """The running telemetry of one cluster; see `watching`."""

    cluster: Cluster
    builder: SnapshotBuilder
    interval_s: float
    wall: Callable[[], float] = time.time
    looked_s: float = float("-inf")
    sight: RouterSight = field(default_factory=RouterSight)
    streams: dict[str, NodeStream] = field(default_factory=dict)
    look_now: asyncio.Event = field(default_factory=asyncio.Event)
    looked: asyncio.Event = field(default_factory=asyncio.Event)  # whether there was a first look
    canaries: Canaries | None = None
    turns: CanaryTurns | None = None  # canaries beside the traffic
    direct: DirectScraper | None = None
    latest: Snapshot | None = None
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    troubled: frozenset[str] = frozenset()  # engines that were down or silent at the last tick
    reads_kv: bool = False  # whether the model's config is read for what is unknown of KV
    notes: tuple[str, ...] = ()
    holds: Holds = field(default_factory=Holds)
    health: tuple[Alert, ...] = ()  # what the last light look at the nodes' hardware found

    async def snapshots(self) -> AsyncIterator[Snapshot]:
        """One every `interval_s`, until the caller stops. A slow caller gets the newest, never a queue."""
        clock = self.cluster.clock
        due = clock.monotonic()
        while True:
            for task in self.tasks:
                if task.done():
                    task.result()  # a loop of ours that ended is a defect, and is not to be watched over
            snapshot = self.latest = self._snapshot(clock.monotonic())
            self._worry(snapshot, clock.monotonic())
            yield snapshot
            due = max(due + self.interval_s, clock.monotonic())
            await clock.sleep(max(0.0, due - clock.monotonic()))

    def set_interval(self, interval_s: float) -> None:
        """Seconds between two looks, from now on: on the nodes as soon as they are looked at again, which is soon."""
        self.interval_s = self.builder.interval_s = interval_s
        if self.direct is not None:
            self.direct.interval_s = interval_s
        self.look_now.set()

    def _snapshot(self, now_s: float) -> Snapshot:
        pairs = self.canaries.figures() if self.canaries is not None else ()
        alerts, notes = self.health, self.notes
        if self.turns is not None:
            alerts, notes = (*alerts, *self.turns.alerts), (*notes, *self.turns.notes)
        with without_gc():  # a third of a tick's CPU for hundreds of engines
            return self.builder.build(now_s, self.wall(), pairs=pairs, alerts=alerts, notes=notes)

    def _worry(self, snapshot: Snapshot, now_s: float) -> None:
        """Ask for a look where an engine has fallen silent, and now and then while one is."""
        bad = (Vital.STALE, Vital.UNKNOWN, Vital.DOWN)
        troubled = frozenset(
            name for name, instance in snapshot.instances.items() if instance.vital in bad and not instance.held
        )
        if troubled != self.troubled or (troubled and now_s - self.looked_s >= LOOK_TROUBLED_S):
            self.look_now.set()
        self.troubled = troubled

    async def look(self) -> Observed:
        """Ask every node what runs there, and let the streams scrape it."""
        observed, holds = await asyncio.gather(observe(self.cluster), read_holds(self.cluster))
        observed = replace(observed, holds=self._known(holds))
        deployment, now_s = self.cluster.deployment, self.cluster.clock.monotonic()
        self.looked_s = now_s
        self.builder.expect(expected_instances(deployment, observed))
        self.builder.expect_nodes(list(deployment.nodes), holders(deployment, observed))
        unknown = (f"which slots are held is not known: {holds.trouble}",) if holds.trouble else ()
        self.notes = (*moved_notes(deployment, observed), *unknown)
        take_router(self.sight, deployment, observed, now_s)
        if self.canaries is not None:
            self.canaries.see(observed)
        names = scraped_names(ENGINE_FAMILIES + ROUTER)
        engines = metrics_targets(deployment, observed)
        through_ssh = deployment.telemetry.source == "ssh"
        targets = engines if through_ssh else {node: {} for node in deployment.nodes}
        targets[deployment.router.node][ROUTER_TARGET] = ("127.0.0.1", planned_ports(deployment).metrics, "/metrics")
        if self.direct is not None:
            self.direct.order(engines)
        for node, stream in self.streams.items():
            stream.order(Order(self.interval_s, names, targets[node]))
        self.looked.set()
        return observed

    def _known(self, holds: Holds) -> Holds:
        """The holds, or those that were last seen where nobody can say now: else what is held would seem to fail."""
        if not holds.trouble:
            self.holds = holds
        return self.holds

    async def keep_reading(self, source: PrometheusSource) -> None:
        """What the operator's Prometheus has seen since; where it does not answer, engines grow stale and say why."""
        while True:
            try:
                instances = self.latest.instances.values() if self.latest is not None else ()
                launches = {instance.name: instance.generation for instance in instances}
                scrapes = await source.read(self.wall(), launches)
            except PrometheusError as error:
                self.builder.unread(str(error))
            else:
                self.builder.interval_s = max(self.interval_s, source.every_s)
                now_s = self.cluster.clock.monotonic()
                for node, heard, age_s in scrapes:
                    self.builder.hear(node, heard, now_s - age_s)
            # New scrapes come as often as it scrapes: to ask all series more often than twice a scrape is for nothing.
            await self.cluster.clock.sleep(max(self.interval_s, source.every_s / 2))

    def hear(self, node: str, heard: Heard) -> None:
        """What a node's stream brought."""
        self.builder.hear(node, heard, self.cluster.clock.monotonic())

    async def keep_looking(self) -> None:
        """Look at once, then every half minute or when an engine fell silent; and read what is unknown of KV."""
        while True:
            with contextlib.suppress(NodeError, InstanceError):
                await self.look()
            if isinstance(self.builder.kv, Unknown) and self.reads_kv:
                self.builder.kv = await read_kv_shape(self.cluster)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self.look_now.wait()
            self.look_now.clear()
            await self.cluster.clock.sleep(max(0.0, self.looked_s + LOOK_AGAIN_S - self.cluster.clock.monotonic()))

    async def keep_checking(self) -> None:
        """The nodes' hardware while it serves: memory errors, heat, ports, links, the kernel's log."""
        async for alerts in LightWatch(self.cluster.deployment, self.cluster.shells, self.cluster.clock).alerts():
            self.health = alerts

    async def keep_asking_members(self) -> None:
        """The registrar's word, from its node alone."""
        while True:
            await self.cluster.clock.sleep(MEMBERS_S)
            with contextlib.suppress(NodeError, InstanceError):
                seen = await self.cluster.membership.seen()
                take_membership(self.sight, seen, self.cluster.clock.monotonic())


@asynccontextmanager
async def watching(
    cluster: Cluster,
    *,
    interval_s: float = 1.0,
    kv: KvShape | Unknown | None = None,
    canaries: bool = False,
    fence: bool = False,
) -> AsyncIterator[Watch]:
    """Telemetry of `cluster` while the context is open; nothing is left on the nodes after it.

    `kv`: how much KV a token takes (None: read from the model's config on its node). `canaries`: try the pairs in turn
    beside the traffic. `fence`: take the end of broken pairs out of service, the only thing here that changes anything.
    """
    deployment = cluster.deployment
    mode = deployment.kv.mode if deployment.kv.connector.moves_kv else None
    shape = kv or Unknown("the model's config was not read yet", "config.json")
    builder = SnapshotBuilder(deployment.cluster, deployment.slo, mode, interval_s, shape)
    builder.expect_nodes(list(deployment.nodes), holders(deployment))
    builder.expect(unseen_instances(deployment))
    watch = Watch(cluster, builder, interval_s, reads_kv=kv is None)
    builder.route(watch.sight)
    watch.streams = {
        name: NodeStream(cluster.shells.shell(name), watch.hear, builder.unreachable) for name in deployment.nodes
    }
    if canaries and mode is not None:
        watch.canaries = Canaries(cluster)
        fencer = EndFencer(cluster) if fence else None
        watch.turns = CanaryTurns(watch.canaries, lambda: watch.latest, deployment.telemetry.canary.budget, fencer)
    async with contextlib.AsyncExitStack() as stack:
        loops: list[Coroutine[Any, Any, None]] = []
        if deployment.telemetry.source == "direct":
            watch.direct = DirectScraper(
                interval_s, scraped_names(ENGINE_FAMILIES), watch.hear, cluster.clock.monotonic
            )
            stack.push_async_callback(watch.direct.close)
        elif deployment.telemetry.source == "prometheus":
            builder.source = Source.PROMETHEUS
            client = await stack.enter_async_context(httpx.AsyncClient(timeout=PROMETHEUS_S, trust_env=False))
            names = scraped_names(ENGINE_FAMILIES)
            source = PrometheusSource(client, deployment.telemetry.url, deployment.cluster, names)
            loops.append(watch.keep_reading(source))
        first = asyncio.create_task(watch.keep_looking())
        stack.push_async_callback(_ended, watch.tasks)
        watch.tasks.append(first)
        await _first_look(watch, first)
        loops += [stream.run() for stream in watch.streams.values()]
        loops.append(watch.keep_asking_members())
        if has_hardware(deployment):
            loops.append(watch.keep_checking())
        if watch.turns is not None:
            loops.append(watch.turns.run())
        watch.tasks += [asyncio.create_task(loop) for loop in loops]
        yield watch


async def _first_look(watch: Watch, looking: asyncio.Task[None]) -> None:
    seen = asyncio.create_task(watch.looked.wait())
    await asyncio.wait((seen, looking), timeout=FIRST_LOOK_S, return_when=asyncio.FIRST_COMPLETED)
    seen.cancel()
    if looking.done():
        looking.result()


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def alerted(
    snapshots: AsyncIterator[Snapshot], book: AlertBook | None = None, changed: Callable[[Change], None] | None = None
) -> AsyncIterator[Snapshot]:
    """The snapshots with what holds the cluster back in words, and with the alerts that stand besides those of the
    nodes' hardware. `changed` hears of each that is raised or clears."""
    alerts = book or AlertBook()
    hardware: dict[str, Alert] = {}
    async for snapshot in snapshots:
        told = replace(snapshot, bottleneck=bottleneck(snapshot))
        standing, changes = alerts.take(told)
        before, hardware = hardware, {alert.id: alert for alert in told.alerts}
        if changed is not None:
            for change in (*changes, *_differences(before, hardware)):
                changed(change)
        yield replace(told, alerts=(*told.alerts, *standing))


def _differences(before: Mapping[str, Alert], now: Mapping[str, Alert]) -> list[Change]:
    """Which alerts of the nodes' hardware are new, and which are over: they come as they stand."""
    raised = [Change(alert, raised=True) for key, alert in now.items() if key not in before]
    return raised + [Change(alert, raised=False) for key, alert in before.items() if key not in now]
