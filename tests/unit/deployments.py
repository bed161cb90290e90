"""Deployments of the kinds that pdctl is for, built by hand: no inventory file, no loader.

`cluster(...)` builds any; the named ones below it are whole clusters. Change one with `dataclasses.replace`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from pdctl.model.deployment import (
    ArgValue,
    Budgets,
    Deployment,
    EngineSpec,
    Instance,
    KvSpec,
    ModelSpec,
    NodeSpec,
    Parallel,
    Part,
    PoolSpec,
    RouterSpec,
    Secret,
    Slo,
    Slot,
    SshSettings,
)
from pdctl.model.role import Connector, EngineKind, Role, RouterKind, SupervisorKind, TransferMode

QWEN = ModelSpec("Qwen/Qwen3-235B-A22B-FP8", "Qwen/Qwen3-235B-A22B-FP8")
DEEPSEEK = ModelSpec("deepseek-ai/DeepSeek-R1", "/models/DeepSeek-R1")


def node(name: str, number: int, gpus: int = 8, *, host_id: str | None = None, address: str | None = None) -> NodeSpec:
    """A node at 10.0.0.<number>, with its data network on 10.1.0.<number>."""
    return NodeSpec(
        name=name,
        host=f"10.0.0.{number}",
        port=22,
        data_address=address or f"10.1.0.{number}",
        gpu="mi300x",
        gpus=gpus,
        nics=gpus,
        ssh=SshSettings(user="ops"),
        host_id=host_id,
    )


def pool(
    name: str,
    role: Role,
    parallel: Parallel,
    args: Mapping[str, ArgValue] | None = None,
    env: Mapping[str, str] | None = None,
) -> PoolSpec:
    return PoolSpec(name, role, parallel, args or {}, env or {}, min_instances=1)


def slot(
    node_name: str, gpus: Iterable[int], pool_name: str | None, name: str = "all", group: str | None = None
) -> Slot:
    return Slot(node_name, name, tuple(gpus), pool_name, group)


def place(slots: Iterable[Slot], pools: Mapping[str, PoolSpec]) -> tuple[Instance, ...]:
    """The instances of every slot, and one of every group, in order."""
    found: list[Instance] = []
    groups: dict[str, list[Slot]] = {}
    for spot in slots:
        if spot.pool is None:
            continue
        if spot.group is not None:
            groups.setdefault(spot.group, []).append(spot)
            continue
        ranks = pools[spot.pool].parallel.ranks
        for index in range(len(spot.gpus) // ranks):
            part = Part(spot.node, spot.name, spot.gpus[index * ranks : (index + 1) * ranks], f"{spot.id}.{index}")
            found.append(_instance((part,), pools[spot.pool]))
    for group, members in groups.items():
        parts = tuple(Part(spot.node, spot.name, spot.gpus, f"{spot.id}.0") for spot in members)
        assert members[0].pool is not None
        found.append(replace(_instance(parts, pools[members[0].pool]), group=group))
    return tuple(found)


def _instance(parts: tuple[Part, ...], of: PoolSpec) -> Instance:
    return Instance(parts[0].name, of.name, of.role, of.parallel, parts)


def cluster(
    name: str,
    nodes: Iterable[NodeSpec],
    pools: Iterable[PoolSpec],
    slots: Iterable[Slot],
    *,
    model: ModelSpec = QWEN,
    connector: Connector = Connector.MORIIO,
    mode: TransferMode = TransferMode.WRITE,
    version: str = "0.33",
    secrets: tuple[Secret, ...] = (),
) -> Deployment:
    """A deployment of vLLM under systemd with vllm-router on the first node, port 30000."""
    by_node = {spec.name: spec for spec in nodes}
    by_pool = {spec.name: spec for spec in pools}
    spots = tuple(slots)
    first = next(iter(by_node))
    return Deployment(
        cluster=name,
        model=model,
        slo=Slo(ttft_s=1.0, itl_s=0.05, attainment=0.95),
        engine=EngineSpec(EngineKind.VLLM, version, SupervisorKind.SYSTEMD, python="/opt/vllm/bin/python"),
        kv=KvSpec(connector, mode),
        router=RouterSpec(
            RouterKind.VLLM_ROUTER, first, 30000, SupervisorKind.SYSTEMD, python="/opt/router/bin/python"
        ),
        pools=by_pool,
        nodes=by_node,
        slots=spots,
        instances=place(spots, by_pool),
        secrets=secrets,
        lease_node=first,
        budgets=Budgets(),
        source=f"/inventories/{name}.yaml",
        digest="0" * 64,
    )


ARTICLE_ARGS: Mapping[str, ArgValue] = {
    "distributed-executor-backend": "mp",
    "gpu-memory-utilization": 0.9,
    "max-model-len": 16384,
    "max-num-batched-tokens": 4096,
    "max-num-seqs": 64,
    "no-enable-prefix-caching": True,
}
ARTICLE_ENV = {"VLLM_ROCM_USE_AITER": "1", "MORI_DISABLE_AUTO_XGMI": "1", "MORI_IO_ENABLE_NOTIFICATION": "0"}


def mori_1p1d(mode: TransferMode = TransferMode.READ, *, version: str = "0.33") -> Deployment:
    """One 8-GPU node: a TP4 prefill on GPUs 0-3 and a TP4 decode on 4-7, as in the AMD/EmbeddedLLM article."""
    shape = Parallel(tp=4, ep=True)
    return cluster(
        f"mori-1p1d-{mode.value}",
        [node("solo", 9)],
        [pool(role.value, role, shape, ARTICLE_ARGS, ARTICLE_ENV) for role in (Role.PREFILL, Role.DECODE)],
        [slot("solo", range(4), "prefill", "a"), slot("solo", range(4, 8), "decode", "b")],
        mode=mode,
        version=version,
    )


def r1_2p3d() -> Deployment:
    """Five 8-GPU nodes, DP8 + EP8 each: two prefills, three decodes, over MoRI-IO in WRITE mode."""
    shape = Parallel(dp=8, ep=True)
    names = [f"mi300x-{number:02d}" for number in range(1, 6)]
    pools = ["prefill", "prefill", "decode", "decode", "decode"]
    return cluster(
        "r1-2p3d",
        [node(name, number) for number, name in enumerate(names, 1)],
        [
            pool("prefill", Role.PREFILL, shape, {"max-num-batched-tokens": 16384}),
            pool("decode", Role.DECODE, shape, {"max-num-seqs": 256}),
        ],
        [slot(name, range(8), to) for name, to in zip(names, pools, strict=True)],
        model=DEEPSEEK,
        secrets=(Secret("HF_TOKEN", "env", "HF_TOKEN"),),
    )


def standard_2xtp4() -> Deployment:
    """One 8-GPU node with two colocated TP4 engines behind a regular router."""
    args = {
        name: value for name, value in ARTICLE_ARGS.items() if name not in ("gpu-memory-utilization", "max-num-seqs")
    }
    return cluster(
        "standard-2xtp4",
        [node("solo", 9)],
        [
            pool(
                "serve",
                Role.MIXED,
                Parallel(tp=4, ep=True),
                {**args, "max-num-batched-tokens": 8192},
                {"VLLM_ROCM_USE_AITER": "1"},
            )
        ],
        [slot("solo", range(8), "serve")],
        connector=Connector.NONE,
    )


def gpt_oss_8p4d() -> Deployment:
    """Two 8-GPU nodes: eight TP1 prefills on one, four TP2 decodes on the other."""
    return cluster(
        "gpt-oss-8p4d",
        [node("mi355x-01", 1), node("mi355x-02", 2)],
        [
            pool("prefill", Role.PREFILL, Parallel(tp=1)),
            pool("decode", Role.DECODE, Parallel(tp=2)),
        ],
        [slot("mi355x-01", range(8), "prefill"), slot("mi355x-02", range(8), "decode")],
        model=ModelSpec("openai/gpt-oss-120b", "/models/gpt-oss-120b"),
    )


def nixl_1p2d() -> Deployment:
    """One node, three engines of one GPU each, KV over NIXL."""
    return cluster(
        "nixl-1p2d",
        [node("cpu", 7, gpus=3)],
        [
            pool("prefill", Role.PREFILL, Parallel(), {"block-size": 32}),
            pool("decode", Role.DECODE, Parallel(), {"block-size": 32}),
        ],
        [slot("cpu", [0], "prefill", "a"), slot("cpu", [1, 2], "decode", "b")],
        model=ModelSpec("tiny", "/models/tiny"),
        connector=Connector.NIXL,
        mode=TransferMode.READ,
        version="0.32",
    )


def wide_ep16() -> Deployment:
    """Nodes of four GPUs: one TP4 + EP4 prefill, and one decode of DP16 + EP16 over four of them (group w0)."""
    return cluster(
        "wide-ep16",
        [node("p", 10, gpus=4), *(node(f"wide-{number}", 10 + number, gpus=4) for number in range(1, 5))],
        [
            pool("prefill", Role.PREFILL, Parallel(tp=4, ep=True)),
            pool("wide-decode", Role.DECODE, Parallel(dp=16, ep=True)),
        ],
        [
            slot("p", range(4), "prefill"),
            *(slot(f"wide-{number}", range(4), "wide-decode", group="w0") for number in range(1, 5)),
        ],
        model=DEEPSEEK,
    )


def every_cluster() -> tuple[Deployment, ...]:
    """All of the above."""
    return (
        mori_1p1d(TransferMode.READ),
        mori_1p1d(TransferMode.WRITE),
        r1_2p3d(),
        standard_2xtp4(),
        gpt_oss_8p4d(),
        nixl_1p2d(),
        wide_ep16(),
    )
