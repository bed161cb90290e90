"""Deployments that render but cannot be brought up, each with the reason. The inventory refuses what makes no sense at
all; here stands what the versions, connectors and routers of today cannot do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pdctl.engines.connectors import connector_for
from pdctl.engines.flags import canonical, owner
from pdctl.engines.ports import usable_blocks
from pdctl.engines.vllm import FORBIDDEN_ENV, OWNED_ENV
from pdctl.model.deployment import Deployment, Instance, PoolSpec
from pdctl.model.role import Connector, Role, RouterKind, TransferMode

MORIIO_SINCE: Final = (0, 21)
"""From here on MoRI-IO registers as vllm-router understands it (vLLM 0.21 moriio_connector.py)."""

MORIIO_ENV_IGNORED_SINCE: Final = (0, 23)
MORIIO_ENV_IGNORED: Final = frozenset(
    {"VLLM_MORIIO_QP_PER_TRANSFER", "VLLM_MORIIO_POST_BATCH_SIZE", "VLLM_MORIIO_NUM_WORKERS"}
)
"""Deprecated and ignored, with one warning in the log (vLLM 0.23 moriio_common.py)."""

MUST_MATCH: Final = ("block-size", "kv-cache-dtype")
"""Flags that both sides of a KV transfer must agree on (vLLM 0.33 moriio_connector_usage.md)."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What cannot be brought up (an instance, a pool, `kv`, `router`), why, and what to do instead."""

    what: str
    reason: str
    hint: str


def refusals(deployment: Deployment) -> tuple[Refusal, ...]:
    """Everything that `up` must refuse, all at once; empty when it may go ahead."""
    found = [*_cluster(deployment)]
    for pool in deployment.pools.values():
        found += _flags(pool)
        found += _environment(deployment, pool)
    for instance in deployment.instances:
        found += _instance(deployment, instance)
        found += _group(deployment, instance)
    return tuple(found)


def _cluster(deployment: Deployment) -> Iterator[Refusal]:
    kv, engine, router = deployment.kv, deployment.engine, deployment.router
    used = {instance.role for instance in deployment.instances}
    split = used & {Role.PREFILL, Role.DECODE}
    if split and not kv.connector.moves_kv:
        yield Refusal("kv", "prefill and decode instances need a connector to hand KV over", "set kv.connector")
    if split and kv.connector is Connector.MORIIO and engine.version_tuple < MORIIO_SINCE:
        yield Refusal(
            "engine",
            f"vLLM {engine.version} registers with MoRI-IO in a form that the router does not know",
            "use vLLM 0.21 or newer",
        )
    if router.kind is RouterKind.TOY_PROXY and (Role.MIXED in used or kv.connector is not Connector.MORIIO):
        yield Refusal(
            "router",
            "the MoRI-IO toy proxy serves prefill and decode over MoRI-IO only",
            "set router.kind: vllm-router",
        )
    if split:
        yield from _sides_agree(deployment)


def _sides_agree(deployment: Deployment) -> Iterator[Refusal]:
    pools = [pool for pool in deployment.pools.values() if pool.role is not Role.MIXED]
    for flag in MUST_MATCH:
        values = {pool.name: str(canonical(pool.args).get(flag, "vLLM's default")) for pool in pools}
        if len(set(values.values())) > 1:
            said = ", ".join(f"{name}: {value}" for name, value in values.items())
            yield Refusal("pools", f"KV cannot move between different {flag} ({said})", f"set {flag} in engine.args")


def _flags(pool: PoolSpec) -> Iterator[Refusal]:
    for flag in pool.args:
        decided = owner(flag)
        if decided is not None:
            yield Refusal(f"pool {pool.name}", f"args.{flag} is decided by {decided}", f"remove {flag} from args")
    if pool.role is not Role.MIXED and canonical(pool.args).get("enable-sleep-mode") is True:
        yield Refusal(
            f"pool {pool.name}", "vLLM's sleep mode and KV transfer do not go together", "remove enable-sleep-mode"
        )


def _environment(deployment: Deployment, pool: PoolSpec) -> Iterator[Refusal]:
    connector = connector_for(deployment.kv.connector, pool.role)
    owned = OWNED_ENV | connector.owned_env
    places = {f"pool {pool.name}": pool.env}
    users = {part.node for instance in deployment.instances if instance.pool == pool.name for part in instance.parts}
    places |= {f"node {name}": deployment.nodes[name].env for name in sorted(users)}
    ignored = (
        deployment.kv.connector is Connector.MORIIO and deployment.engine.version_tuple >= MORIIO_ENV_IGNORED_SINCE
    )
    for place, env in places.items():
        for name, value in env.items():
            if name in FORBIDDEN_ENV:
                yield Refusal(place, f"env.{name} is unsafe: {_UNSAFE[name]}", f"remove {name} from env")
            elif name in owned:
                yield Refusal(place, f"env.{name} is set by pdctl for every launch", f"remove {name} from env")
            elif ignored and name in MORIIO_ENV_IGNORED:
                yield Refusal(place, f"vLLM {deployment.engine.version} ignores env.{name}", f"remove {name} from env")
            elif pool.role is not Role.MIXED and "expandable_segments:True" in value:
                yield Refusal(
                    place,
                    f"env.{name}: expandable segments invalidate the KV memory registered for RDMA",
                    "turn it off",
                )


_UNSAFE: Final = {
    "VLLM_SERVER_DEV_MODE": "it opens control endpoints without authentication on the data network",
    "VLLM_PORT": "engines on one machine would clash over their internal ports",
}


def _instance(deployment: Deployment, instance: Instance) -> Iterator[Refusal]:
    parallel = instance.parallel
    if deployment.kv.connector is not Connector.MORIIO or instance.role is Role.MIXED:
        return
    if parallel.tp > 1 and parallel.dp > 1:
        yield Refusal(
            instance.name,
            "MoRI-IO's listeners of DP and TP ranks collide when both are above 1 (vLLM 0.33)",
            "use dp: 1 with any tp, or tp: 1 with any dp",
        )
    if deployment.kv.mode is not TransferMode.WRITE or instance.role is not Role.PREFILL:
        return
    for other in deployment.instances:
        small, large = sorted((parallel.tp, other.parallel.tp))
        if other.role is Role.DECODE and large % small:
            yield Refusal(
                instance.name,
                f"WRITE needs one TP size to be a multiple of the other: {parallel.tp} here, {other.parallel.tp} on "
                f"{other.name}",
                "choose TP sizes that divide each other",
            )
            return


def _group(deployment: Deployment, instance: Instance) -> Iterator[Refusal]:
    if len(instance.parts) == 1:
        return
    parallel = instance.parallel
    if parallel.dp > 1 and instance.role is not Role.MIXED and deployment.kv.connector is Connector.MORIIO:
        yield Refusal(
            instance.name,
            "the router cannot pin data-parallel ranks across nodes (vllm-project/router#223 is open), so decode would "
            "wait for KV that never comes",
            "keep each data-parallel instance on one node",
        )
    if parallel.dp > 1 and any(len(part.gpus) % parallel.tp for part in instance.parts):
        yield Refusal(
            instance.name,
            f"a rank of {parallel.tp} GPUs would straddle two nodes",
            "choose a tp that fits on each node",
        )
    if len({usable_blocks(deployment, deployment.nodes[name]) for name in instance.nodes}) > 1:
        yield Refusal(
            instance.name,
            "a group needs the same ports on all its nodes, and these nodes do not have the same ones",
            "group nodes of equal GPU count, each with a machine of its own",
        )
