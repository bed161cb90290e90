"""One cluster's telemetry: feed it what was heard, ask it for a Snapshot every tick. Clocks are passed in.

It keeps the histories; everything it says comes out of them and the present time, so that a replay, a simulation and
the live source give the same snapshots for the same input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pdctl.model.deployment import Slo
from pdctl.model.reading import Unknown
from pdctl.model.role import Role, TransferMode
from pdctl.model.snapshot import (
    WINDOWS_S,
    Alert,
    ClientView,
    InstanceFigures,
    NodeFigures,
    PairFigures,
    PoolFigures,
    Snapshot,
    Source,
)
from pdctl.telemetry.client_view import client_view
from pdctl.telemetry.dated import Dated, GroupTallies
from pdctl.telemetry.families import ENGINE_FAMILIES, ROUTER
from pdctl.telemetry.instance import Engine, Expected, instance_figures
from pdctl.telemetry.kv_bytes import KvShape
from pdctl.telemetry.meter import Meter, merge_tallies
from pdctl.telemetry.node_feed import Heard, Lost, NodeSeen, Scraped
from pdctl.telemetry.node_figures import NodeHistory
from pdctl.telemetry.pool import pool_figures
from pdctl.telemetry.pool_nics import Holders, pool_nic_bytes
from pdctl.telemetry.router import RouterSight, router_figures

ROUTER_TARGET = "router"


@dataclass(slots=True)
class SnapshotBuilder:
    """`interval_s` is the time between two scrapes. `kv` None: the connector hands nothing over (mixed pools)."""

    cluster: str
    slo: Slo
    mode: TransferMode | None
    interval_s: float
    kv: KvShape | Unknown
    source: Source = Source.LIVE
    seq: int = 0
    _engines: dict[str, Engine] = field(default_factory=dict)
    _router: Meter = field(default_factory=lambda: Meter(ROUTER))
    _router_sight: RouterSight = field(default_factory=RouterSight)
    _nodes: dict[str, NodeHistory] = field(default_factory=dict)
    _holders: Holders = field(default_factory=dict)
    _groups: GroupTallies = field(default_factory=GroupTallies)

    def expect(self, instances: Sequence[Expected]) -> None:
        """What there should be now. An instance of a new generation begins a new history; one that is gone is
        forgotten."""
        kept: dict[str, Engine] = {}
        for expected in instances:
            engine = self._engines.get(expected.name)
            if engine is None or engine.expected.generation != expected.generation:
                engine = Engine(expected, Meter(ENGINE_FAMILIES))
            engine.expected = expected
            kept[expected.name] = engine
        self._engines = kept

    def expect_nodes(self, nodes: Sequence[str], holders: Holders | None = None) -> None:
        """The nodes that there should be. `holders`: whose slots they hold."""
        self._holders = holders or {}
        self._nodes = {name: self._nodes.get(name, NodeHistory(name)) for name in nodes}

    def route(self, sight: RouterSight) -> None:
        """What is known of the router besides its metrics: whether it runs, who is registered."""
        self._router_sight = sight

    def hear(self, node: str, heard: Heard, now_s: float) -> None:
        """Take what a node's stream brought. `now_s`: the clock that `build` is called with."""
        history = self._nodes.get(node)
        if history is not None:
            history.heard(now_s)
        if isinstance(heard, NodeSeen):
            if history is not None:
                history.take(heard, now_s)
            return
        if heard.target == ROUTER_TARGET:
            self._hear_router(heard, now_s)
            return
        engine = self._engines.get(heard.target)
        if engine is None:
            return
        if isinstance(heard, Lost):
            engine.lost(heard.why)
        else:
            engine.take(heard, now_s)

    def _hear_router(self, heard: Scraped | Lost, now_s: float) -> None:
        sight = self._router_sight
        if isinstance(heard, Lost):
            sight.lost = heard.why
        elif not heard.scan.damaged:
            if heard.scan.samples:
                self._router.feed(heard.at_s, heard.scan)
            else:  # it prints none before its first request: it has just begun
                self._router = Meter(ROUTER)
            sight.heard_s, sight.lost = now_s, ""

    def unreachable(self, node: str, why: str, reachable: bool | None = False) -> None:
        """The stream of a node ended: nothing is known of it until it is back. `reachable` None: the node itself may
        well be."""
        if node in self._nodes:
            self._nodes[node].lost(why, reachable)
        for engine in self._engines.values():
            if engine.expected.node == node:
                engine.lost(f"{node}: {why}")

    def unread(self, why: str) -> None:
        """The source of all engines' figures does not answer; of the nodes that says nothing."""
        for engine in self._engines.values():
            engine.lost(why)

    def build(
        self,
        now_s: float,
        taken_s: float,
        *,
        pairs: tuple[PairFigures, ...] = (),
        alerts: tuple[Alert, ...] = (),
        notes: tuple[str, ...] = (),
    ) -> Snapshot:
        """The snapshot of this moment. `now_s`: monotonic, as in `hear`; `taken_s`: wall clock."""
        self.seq += 1
        nodes = {name: history.figures(now_s, self.interval_s) for name, history in self._nodes.items()}
        figures = {name: self._instance(engine, now_s) for name, engine in self._engines.items()}
        fresh = self._fresh(now_s)
        merged = {pool: self._groups.of(pool, engines, now_s) for pool, engines in fresh.items()}
        return Snapshot(
            cluster=self.cluster,
            seq=self.seq,
            taken_s=taken_s,
            source=self.source,
            interval_s=self.interval_s,
            slo=self.slo,
            instances=figures,
            pools=self._pools(figures, fresh, merged, nodes),
            client=self._client(merged),
            router=router_figures(self._router_sight, self._router, now_s, self.interval_s),
            nodes=nodes,
            pairs=pairs,
            alerts=alerts,
            notes=notes,
        )

    def _instance(self, engine: Engine, now_s: float) -> InstanceFigures:
        found = instance_figures(engine, now_s, self.interval_s, self._shape([engine]))
        if self._router_sight.members_s is None:
            return found
        return replace(found, member=self._router_sight.member(found.name, now_s))

    def _shape(self, engines: Sequence[Engine]) -> KvShape | Unknown:
        """KV of a token and of a block in these engines; of several block sizes the largest bounds what crossed."""
        if isinstance(self.kv, Unknown):
            return self.kv
        sizes = (engine.block_tokens for engine in engines)
        return self.kv.told(max((size for size in sizes if size is not None), default=None))

    def _fresh(self, now_s: float) -> dict[str, list[Engine]]:
        """By pool, the engines that were heard lately."""
        fresh: dict[str, list[Engine]] = {}
        for engine in self._engines.values():
            those = fresh.setdefault(engine.expected.pool, [])
            if not engine.stale(now_s, self.interval_s):
                those.append(engine)
        return fresh

    def _pools(
        self,
        figures: Mapping[str, InstanceFigures],
        fresh: Mapping[str, Sequence[Engine]],
        merged: Mapping[str, Mapping[int, Dated]],
        nodes: Mapping[str, NodeFigures],
    ) -> dict[str, PoolFigures]:
        members: dict[str, list[InstanceFigures]] = {}
        for instance in figures.values():
            members.setdefault(instance.pool, []).append(instance)
        return {
            pool: pool_figures(
                pool, those, merged[pool], self._shape(fresh[pool]), pool_nic_bytes(pool, self._holders, nodes)
            )
            for pool, those in members.items()
        }

    def _client(self, merged: Mapping[str, Mapping[int, Dated]]) -> dict[int, ClientView]:
        roles = {engine.expected.pool: engine.expected.role for engine in self._engines.values()}
        views: dict[int, ClientView] = {}
        for window_s in WINDOWS_S:
            prefill = [merged[pool][window_s] for pool in merged if _is(roles[pool], window_s in merged[pool], True)]
            others = [merged[pool][window_s] for pool in merged if _is(roles[pool], window_s in merged[pool], False)]
            views[window_s] = client_view(
                merge_tallies([dated.tally for dated in prefill]),
                merge_tallies([dated.tally for dated in others]),
                self.mode,
                self.slo,
                max((dated.age_s for dated in (*prefill, *others)), default=0.0),
            )
        return views


def _is(role: Role, there: bool, prefill: bool) -> bool:
    return there and (role is Role.PREFILL) is prefill
