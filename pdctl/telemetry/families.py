"""Which metric families are used, under one name of ours, with every name that an engine's version gives them.

Names as scraped: vLLM 0.10 to 0.33 (vllm/v1/metrics/loggers.py, kv_connector/v1/*/stats.py), SGLang 0.5
(srt/observability/metrics_collector.py), MoRI-IO's metrics of the open pull request vllm#43218. Of several names of one
family only the first that a target shows counts: releases export an old and a new name side by side, with the same
data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """How the series of one family, one a DP rank, make one figure."""

    SUM = "sum"  # a gauge: ranks are added
    MAX = "max"  # a gauge: the fullest rank
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Family:
    """One family. `split`: the label whose values are kept apart. `scale`: what a scraped value is multiplied by to get
    seconds or bytes; `names`: scraped names, newest first, histograms without their suffix."""

    key: str
    kind: Kind
    names: tuple[str, ...]
    split: str = ""
    scale: Mapping[str, float] | None = None


def _vllm(*names: str) -> tuple[str, ...]:
    return tuple(f"vllm:{name}" for name in names)


ENGINE: Final = (
    Family("running", Kind.SUM, (*_vllm("num_requests_running"), "sglang:num_running_reqs")),
    Family("waiting", Kind.SUM, (*_vllm("num_requests_waiting"), "sglang:num_queue_reqs")),
    Family("waiting_by", Kind.SUM, _vllm("num_requests_waiting_by_reason"), split="reason"),
    Family("fetching", Kind.SUM, _vllm("num_requests_kv_fetch_by_stage"), split="stage"),
    Family("transfer_queue", Kind.SUM, ("sglang:num_decode_transfer_queue_reqs",)),
    Family("prealloc_queue", Kind.SUM, ("sglang:num_decode_prealloc_queue_reqs",)),
    Family("inflight_queue", Kind.SUM, ("sglang:num_prefill_inflight_queue_reqs",)),
    Family("kv_usage", Kind.MAX, (*_vllm("kv_cache_usage_perc", "gpu_cache_usage_perc"), "sglang:token_usage")),
    Family("block_size", Kind.MAX, _vllm("cache_config_info"), split="block_size"),  # always 1: the label tells
    Family("preemptions", Kind.COUNTER, _vllm("num_preemptions_total")),
    Family("tokens_in", Kind.COUNTER, (*_vllm("prompt_tokens_total"), "sglang:prompt_tokens_total")),
    Family("tokens_out", Kind.COUNTER, (*_vllm("generation_tokens_total"), "sglang:generation_tokens_total")),
    Family("prompt_source", Kind.COUNTER, _vllm("prompt_tokens_by_source_total"), split="source"),
    Family("finished", Kind.COUNTER, _vllm("request_success_total"), split="finished_reason"),
    Family("requests", Kind.COUNTER, ("sglang:num_requests_total",)),
    Family("rejected", Kind.COUNTER, _vllm("admission_rejections_total"), split="reason"),
    Family("prefix_queries", Kind.COUNTER, _vllm("prefix_cache_queries_total", "gpu_prefix_cache_queries_total")),
    Family("prefix_hits", Kind.COUNTER, _vllm("prefix_cache_hits_total", "gpu_prefix_cache_hits_total")),
    Family("external_queries", Kind.COUNTER, _vllm("external_prefix_cache_queries_total")),
    Family("external_hits", Kind.COUNTER, _vllm("external_prefix_cache_hits_total")),
    Family("step_tokens", Kind.HISTOGRAM, _vllm("iteration_tokens_total")),
    Family("ttft", Kind.HISTOGRAM, (*_vllm("time_to_first_token_seconds"), "sglang:time_to_first_token_seconds")),
    Family(
        "itl",
        Kind.HISTOGRAM,
        (
            *_vllm("inter_token_latency_seconds", "time_per_output_token_seconds"),
            "sglang:inter_token_latency_seconds",
        ),
    ),
    Family("tpot", Kind.HISTOGRAM, _vllm("request_time_per_output_token_seconds")),
    Family("e2e", Kind.HISTOGRAM, (*_vllm("e2e_request_latency_seconds"), "sglang:e2e_request_latency_seconds")),
    Family("queue", Kind.HISTOGRAM, (*_vllm("request_queue_time_seconds"), "sglang:queue_time_seconds")),
    Family("prefill", Kind.HISTOGRAM, _vllm("request_prefill_time_seconds")),
    Family("decode", Kind.HISTOGRAM, _vllm("request_decode_time_seconds")),
    Family("prompt_length", Kind.HISTOGRAM, _vllm("request_prompt_tokens")),
    Family("output_length", Kind.HISTOGRAM, _vllm("request_generation_tokens")),
)
"""What every engine says of itself."""

CONNECTOR: Final = (
    Family(
        "xfer_time",
        Kind.HISTOGRAM,
        (
            *_vllm("moriio_xfer_time_seconds", "nixl_xfer_time_seconds", "mooncake_xfer_time_seconds"),
            "sglang:kv_transfer_latency_ms",
        ),
        scale={"sglang:kv_transfer_latency_ms": 1e-3},
    ),
    Family(
        "xfer_bytes",
        Kind.HISTOGRAM,
        (
            *_vllm("moriio_bytes_transferred", "nixl_bytes_transferred", "mooncake_bytes_transferred"),
            "sglang:kv_transfer_total_mb",
        ),
        scale={"sglang:kv_transfer_total_mb": float(1 << 20)},
    ),
    Family(
        "xfer_failed",
        Kind.COUNTER,
        (
            *_vllm(
                "moriio_num_failed_transfers_total",
                "nixl_num_failed_transfers_total",
                "mooncake_num_failed_transfers_total",
            ),
            "sglang:num_transfer_failed_reqs_total",
        ),
    ),
    Family(
        "notify_failed",
        Kind.COUNTER,
        _vllm(
            "moriio_num_failed_notifications_total",
            "nixl_num_failed_notifications_total",
            "mooncake_num_failed_recvs_total",
        ),
    ),
    Family(
        "xfer_expired",
        Kind.COUNTER,
        _vllm(
            "moriio_num_kv_expired_reqs_total", "nixl_num_kv_expired_reqs_total", "mooncake_num_kv_expired_reqs_total"
        ),
    ),
)
"""What a KV connector says; MoRI-IO says nothing up to vLLM 0.33."""

ROUTER: Final = (
    Family("requests", Kind.COUNTER, ("vllm_router_pd_requests_total",)),  # once the prefill leg is done
    Family("picked", Kind.COUNTER, ("vllm_router_processed_requests_total",)),  # at once: in P/D for both legs
    Family("errors", Kind.COUNTER, ("vllm_router_pd_errors_total",), split="error_type"),
    Family("prefill_errors", Kind.COUNTER, ("vllm_router_pd_prefill_errors_total",), split="worker"),
    Family("decode_errors", Kind.COUNTER, ("vllm_router_pd_decode_errors_total",), split="worker"),
    Family("prefill_picked", Kind.COUNTER, ("vllm_router_pd_prefill_requests_total",), split="worker"),
    Family("decode_picked", Kind.COUNTER, ("vllm_router_pd_decode_requests_total",), split="worker"),
    Family("pending", Kind.SUM, ("vllm_router_pd_pending_decode_requests",), split="worker"),
    Family("active", Kind.SUM, ("vllm_router_pd_active_decode_requests",), split="worker"),
    Family("occupancy", Kind.SUM, ("vllm_router_pd_prefill_occupancy",), split="worker"),
)
"""vllm-router 0.1.17."""

ENGINE_FAMILIES: Final = ENGINE + CONNECTOR

_SUFFIXES: Final = {Kind.HISTOGRAM: ("_bucket", "_sum", "_count")}


def scraped_names(families: tuple[Family, ...]) -> frozenset[str]:
    """Every sample name that belongs to one of `families`: what a scraper on a node needs to send."""
    return frozenset(
        name + suffix for family in families for name in family.names for suffix in _SUFFIXES.get(family.kind, ("",))
    )
