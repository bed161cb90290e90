"""How much KV a token of this deployment's model takes: from the config.json that the engines read, on their node."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Final

from pdctl.control.cluster import Cluster
from pdctl.errors import NodeError
from pdctl.model.deployment import ArgValue, PoolSpec
from pdctl.model.reading import Unknown
from pdctl.model.role import Role
from pdctl.telemetry.kv_bytes import KvShape, kv_shape

DEFAULT_BLOCK_TOKENS: Final = 16
"""vLLM's own where `--block-size` is not given (vLLM 0.33 config/cache.py); attention backends may choose more."""
READ_S: Final = 10.0


async def read_kv_shape(cluster: Cluster) -> KvShape | Unknown:
    """Unknown, with the reason, where the file cannot be had or does not say it (a hub id)."""
    deployment = cluster.deployment
    pools = [pool for pool in deployment.pools.values() if pool.role is Role.DECODE]
    if len({_settings(pool) for pool in pools}) > 1:
        return Unknown("decode pools differ in block size, cache type or TP: a token takes not the same in each")
    pool = next(iter(pools), None)
    instance = next((found for found in deployment.instances if pool is not None and found.pool == pool.name), None)
    if pool is None or instance is None:
        return Unknown("there is no decode pool")
    path = f"{deployment.model.path}/config.json"
    try:
        done = await cluster.shells.shell(instance.leader.node).run(["cat", path], deadline_s=READ_S)
    except NodeError as error:
        return Unknown(f"{instance.leader.node}: {error.cause}", path)
    if done.status != 0:
        return Unknown(f"{path} cannot be read on {instance.leader.node}", path)
    try:
        config = json.loads(done.stdout)
    except ValueError:
        return Unknown(f"{path} is no JSON on {instance.leader.node}", path)
    if not isinstance(config, dict):
        return Unknown(f"{path} is no model configuration", path)
    block_tokens, cache_dtype, tp = _settings(pool)
    found = kv_shape(config, block_tokens=block_tokens or DEFAULT_BLOCK_TOKENS, cache_dtype=cache_dtype, copies=tp)
    if isinstance(found, KvShape) and block_tokens is None:
        return replace(found, assumed_blocks=True)
    return found


def _settings(pool: PoolSpec) -> tuple[int | None, str, int]:
    """Tokens per block (None: not set), the cache's data type, TP ranks."""
    return _whole(pool.args.get("block-size")), str(pool.args.get("kv-cache-dtype") or "auto"), pool.parallel.tp


def _whole(value: ArgValue) -> int | None:
    try:
        return int(value) if value is not None else None
    except ValueError:
        return None
