"""What is expected of one node: from the inventory, from what serves there now, and from what is about to start."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from pdctl.engines.flags import canonical
from pdctl.health.gpu_kinds import GpuKind, gpu_kind
from pdctl.model.check_policy import CheckPolicy, Thresholds
from pdctl.model.deployment import Deployment, ModelSpec, NodeSpec, PoolSpec
from pdctl.model.role import Connector, SupervisorKind


@dataclass(frozen=True, slots=True)
class PortWanted:
    """A port that a planned launch will listen on, at the node's data address unless `address` says otherwise."""

    port: int
    address: str
    instance: str


@dataclass(frozen=True, slots=True)
class SlotExpected:
    """One slot of the node. `judged`: it is in the scope of this check. `serving`: units of ours run on its GPUs now,
    so its VRAM, its processes and its ports in use are no fault, and its NICs are not to be tested."""

    id: str
    gpus: tuple[int, ...]
    pool: str | None
    serving: bool = False
    judged: bool = True
    tp: int = 1
    ranks: int = 1  # of one instance: tp * dp
    ep: bool = False  # experts over all ranks
    memory_utilization: float | None = None  # vLLM's --gpu-memory-utilization
    heap_bytes: int | None = None  # MORI_SHMEM_HEAP_SIZE, which lies outside of it
    env: Mapping[str, str] = field(default_factory=dict)  # what its engines will be given


@dataclass(frozen=True, slots=True)
class Situation:
    """What runs and what is planned, by node. `scope`: ids of the slots to judge; None: all.

    `serving`: GPU indices that running units of ours hold; a node that is not in it could not be asked. `units`: names
    of those units. `told`: by running engine, the digest of the fabric facts that it was started with.
    """

    serving: Mapping[str, frozenset[int]] = field(default_factory=dict)
    units: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ports: Mapping[str, tuple[PortWanted, ...]] = field(default_factory=dict)
    scope: frozenset[str] | None = None
    told: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Expectations:
    """What one node should be like. `kind` None: the inventory names no kind of GPU that we know."""

    node: str
    spec: NodeSpec
    cluster: str
    slots: tuple[SlotExpected, ...]
    kind: GpuKind | None
    rdma: bool  # the connector moves KV over RDMA
    connector: Connector
    model: ModelSpec
    supervisor: SupervisorKind
    image: str | None
    python: str | None
    ports: tuple[PortWanted, ...] = ()
    units: tuple[str, ...] = ()
    serving_known: bool = True  # False: nobody could tell what of ours runs here; a tenant may be ours
    thresholds: Thresholds = field(default_factory=Thresholds)
    env: Mapping[str, str] = field(default_factory=dict)  # the node's own env of the inventory
    pinned: Mapping[str, str] = field(default_factory=dict)
    told: Mapping[str, str] = field(default_factory=dict)  # running engine -> digest of what it was told of the fabric

    @property
    def serving_gpus(self) -> frozenset[int]:
        """Indices that units of ours hold now."""
        return frozenset(gpu for slot in self.slots if slot.serving for gpu in slot.gpus)

    @property
    def judged_gpus(self) -> tuple[int, ...]:
        """Indices in the scope of this check, ascending. A finding on any other GPU blocks nothing here."""
        return tuple(sorted({gpu for slot in self.slots if slot.judged for gpu in slot.gpus}))

    @property
    def idle_gpus(self) -> tuple[int, ...]:
        """Indices in scope on which nothing of ours runs: VRAM and processes there are somebody else's, or a ghost."""
        return tuple(gpu for gpu in self.judged_gpus if gpu not in self.serving_gpus)

    def leaves_out(self, gpus: tuple[int, ...] | None) -> bool:
        """Whether `gpus` belong to slots that are not in the scope of this check, all of them."""
        if not gpus or all(slot.judged for slot in self.slots):
            return False
        others = {gpu for slot in self.slots if not slot.judged for gpu in slot.gpus}
        return others.issuperset(gpus)

    def slots_of(self, gpus: tuple[int, ...] | None) -> tuple[str, ...]:
        """Ids of the judged slots that hold any of `gpus` (None: every judged slot)."""
        judged = [slot for slot in self.slots if slot.judged]
        if gpus is None:
            return tuple([slot.id for slot in judged])
        return tuple([slot.id for slot in judged if any(gpu in slot.gpus for gpu in gpus)])


def expectations(deployment: Deployment, policy: CheckPolicy, situation: Situation) -> Mapping[str, Expectations]:
    """What is expected of every node of the deployment that has a slot in scope, by name."""
    found = {}
    for name, spec in deployment.nodes.items():
        slots = tuple(_slots(deployment, name, situation))
        if not any(slot.judged for slot in slots):
            continue
        found[name] = Expectations(
            node=name,
            spec=spec,
            cluster=deployment.cluster,
            slots=slots,
            kind=gpu_kind(spec.gpu),
            rdma=_rdma(deployment),
            connector=deployment.kv.connector,
            model=deployment.model,
            supervisor=deployment.engine.supervisor,
            image=deployment.engine.image,
            python=deployment.engine.python,
            ports=tuple(situation.ports.get(name, ())),
            units=tuple(situation.units.get(name, ())),
            serving_known=name in situation.serving,
            thresholds=policy.thresholds,
            env=spec.env,
            pinned=policy.pinned,
            told=situation.told.get(name, {}),
        )
    return found


def _rdma(deployment: Deployment) -> bool:
    """Whether KV moves over RDMA: MoRI-IO always does, NIXL does unless its buffers lie in CPU memory."""
    kv = deployment.kv
    return kv.connector is Connector.MORIIO or (kv.connector is Connector.NIXL and kv.buffer_device != "cpu")


def _slots(deployment: Deployment, node: str, situation: Situation) -> list[SlotExpected]:
    serving = situation.serving.get(node, frozenset())
    found = []
    for slot in deployment.slots:
        if slot.node != node:
            continue
        pool = deployment.pools.get(slot.pool or "")
        env = {} if pool is None else {**pool.env, **deployment.nodes[node].env}
        found.append(
            SlotExpected(
                id=slot.id,
                gpus=slot.gpus,
                pool=slot.pool,
                serving=not serving.isdisjoint(slot.gpus),
                judged=situation.scope is None or slot.id in situation.scope,
                tp=pool.parallel.tp if pool is not None else 1,
                ranks=pool.parallel.ranks if pool is not None else 1,
                ep=pool is not None and pool.parallel.ep,
                memory_utilization=None if pool is None else _utilization(pool),
                heap_bytes=parse_size(env.get("MORI_SHMEM_HEAP_SIZE", "")),
                env=env,
            )
        )
    return found


VLLM_UTILIZATION = 0.92
"""vLLM's default of --gpu-memory-utilization (vLLM 0.32 config/cache.py)."""


def _utilization(pool: PoolSpec) -> float:
    value = canonical(pool.args).get("gpu-memory-utilization", VLLM_UTILIZATION)
    try:
        return float(str(value))
    except ValueError:
        return VLLM_UTILIZATION


def parse_size(text: str) -> int | None:
    """Bytes of "16G", "16GB", "17179869184" (MoRI reads units as powers of 1024); None where it is none of these."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)I?B?\s*", text.upper())
    if match is None:
        return None
    return int(float(match[1]) * 1024 ** " KMGT".index(match[2] or " "))
