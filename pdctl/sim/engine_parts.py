"""Puts a simulated engine together from its command line and environment."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry

from pdctl.sim.decode_bench import DecodeBenchConnector
from pdctl.sim.engine_args import EngineArgs, KvTransferConfig, StartupError
from pdctl.sim.engine_knobs import EngineKnobs
from pdctl.sim.engine_log import EngineLog
from pdctl.sim.faults import Faults
from pdctl.sim.kv_connector import KvConnector, NoConnector
from pdctl.sim.kv_pull import Identity, KvTiming
from pdctl.sim.moriio import MoriioConnector, MoriioSettings
from pdctl.sim.moriio_peer import Peer
from pdctl.sim.moriio_read import ReadConsumer, ReadProducer
from pdctl.sim.moriio_write import WriteConsumer, WriteProducer
from pdctl.sim.nixl import LEASE_S, NixlConnector
from pdctl.sim.nixl_metrics import NixlMetrics
from pdctl.sim.scheduler import Limits, RankScheduler


def make_ranks(args: EngineArgs) -> list[RankScheduler]:
    """One scheduler, with a KV cache of its own, per DP rank."""
    limits = Limits(args.max_num_seqs, args.max_num_batched_tokens, args.block_size, args.num_blocks)
    return [RankScheduler(limits) for _ in range(args.dp)]


def make_connector(
    args: EngineArgs, knobs: EngineKnobs, faults: Faults, log: EngineLog, registry: CollectorRegistry
) -> KvConnector:
    """The connector that --kv-transfer-config names. Raises StartupError on settings that make no sense."""
    if args.kv is None:
        return NoConnector()
    if args.kv.connector == "DecodeBenchConnector":
        return DecodeBenchConnector()
    timing = KvTiming(knobs.kv_latency_s, knobs.kv_bytes_per_token, knobs.kv_bytes_per_s, knobs.speed)
    transfer_s = _seconds(args.kv, "transfer_timeout", 30.0, knobs.transfer_timeout_s)
    if args.kv.connector == "NixlConnector":
        return NixlConnector(
            Identity(args.kv.engine_id or str(uuid.uuid4()), secrets.token_hex(8)),
            (knobs.nixl_host, knobs.nixl_port),
            args.dp_local * args.tp,
            args.tp,
            args.block_size,
            timing,
            faults,
            log,
            NixlMetrics(registry, args.served_names[0], args.dp),
            lease_s=LEASE_S if knobs.defer_timeout_s is None else knobs.defer_timeout_s,
            transfer_timeout_s=transfer_s,
        )
    settings = moriio_settings(args, args.kv, knobs, transfer_s)
    if settings.producer:
        return MoriioConnector(settings, timing, faults, log, ReadProducer if settings.read_mode else WriteProducer)
    return MoriioConnector(settings, timing, faults, log, ReadConsumer if settings.read_mode else WriteConsumer)


def moriio_settings(
    args: EngineArgs, kv: KvTransferConfig, knobs: EngineKnobs, transfer_timeout_s: float
) -> MoriioSettings:
    """Values of kv_connector_extra_config may be numbers or text (vLLM 0.33 moriio_common.py)."""
    extra = kv.extra
    return MoriioSettings(
        me=Peer(
            str(extra.get("host_ip") or knobs.host_ip),
            _port(extra, "handshake_port", 6301),
            _port(extra, "notify_port", 61005),
        ),
        nonce=secrets.token_hex(8),
        producer=kv.role != "kv_consumer",
        read_mode=str(extra.get("read_mode", "false")).strip().lower() in ("true", "1"),
        dp_size=args.dp,
        dp_local=args.dp_local,
        tp_size=args.tp,
        transfer_timeout_s=transfer_timeout_s,
        defer_timeout_s=_seconds(kv, "defer_timeout", 60.0, knobs.defer_timeout_s),
    )


def cache_config(args: EngineArgs) -> Mapping[str, str]:
    """Labels of vllm:cache_config_info."""
    return {
        "block_size": str(args.block_size),
        "cache_dtype": "auto",
        "enable_prefix_caching": str(args.prefix_caching),
        "gpu_memory_utilization": str(args.gpu_memory_utilization),
        "kv_cache_size_tokens": str(args.block_size * args.num_blocks),
        "num_cpu_blocks": "None",
        "num_gpu_blocks": str(args.num_blocks),
        "num_gpu_blocks_override": str(args.num_blocks),
    }


def _port(extra: Mapping[str, Any], key: str, default: int) -> int:
    try:
        return int(extra.get(key, default))
    except (TypeError, ValueError):
        raise StartupError(f"ValueError: {key}={extra[key]!r}") from None


def _seconds(kv: KvTransferConfig, key: str, default: float, override: float | None) -> float:
    try:
        value = float(kv.extra.get(key, default)) if override is None else override
    except (TypeError, ValueError):
        raise StartupError(f"ValueError: {key}={kv.extra[key]!r}") from None
    if not 0 < value < float("inf"):
        raise StartupError(f"ValueError: {key} must be finite and > 0, got {value}")
    return value
