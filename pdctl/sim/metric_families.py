"""vLLM 0.33's metric families as data: names, label values, buckets (vllm/v1/metrics/loggers.py and buckets.py).

Names are without the `vllm:` prefix and without the suffixes that the client library appends.
"""

from __future__ import annotations

from collections.abc import Sequence

TTFT = (
    0.001,
    0.005,
    0.01,
    0.02,
    0.04,
    0.06,
    0.08,
    0.1,
    0.25,
    0.5,
    0.75,
    1,
    2.5,
    5,
    7.5,
    10,
    20,
    40,
    80,
    160,
    640,
    2560,
)
ITL = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80)
LATENCY = (0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680)
STEP_TOKENS = (1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
FEW = (1, 2, 5, 10, 20)
PREEMPTIONS = (1, 2, 3, 4, 5, 10, 20)

FINISHED_REASONS = ("stop", "length", "abort", "error", "repetition")
SOURCES = ("local_compute", "local_cache_hit", "external_kv_transfer")
TIERS = ("device", "host", "p2p", "disk", "external_unspecified")
STAGES = ("waiting_to_start", "in_progress", "completed_waiting")


def token_buckets(max_model_len: int) -> tuple[int, ...]:
    """vLLM's 1-2-5 series up to the model length."""
    series: list[int] = []
    factor = 1
    while True:
        for step in (1, 2, 5):
            if step * factor > max_model_len:
                return tuple(series) or (1,)
            series.append(step * factor)
        factor *= 10


COUNTERS: tuple[tuple[str, str], ...] = (
    ("prefix_cache_queries", "Prefix cache queries, in terms of number of queried tokens."),
    ("prefix_cache_hits", "Prefix cache hits, in terms of number of cached tokens."),
    (
        "external_prefix_cache_queries",
        "External prefix cache queries from KV connector cross-instance cache sharing, in terms of number of queried "
        "tokens.",
    ),
    (
        "external_prefix_cache_hits",
        "External prefix cache hits from KV connector cross-instance cache sharing, in terms of number of cached "
        "tokens.",
    ),
    ("mm_cache_queries", "Multi-modal cache queries, in terms of number of queried items."),
    ("mm_cache_hits", "Multi-modal cache hits, in terms of number of cached items."),
    ("num_preemptions", "Cumulative number of preemption from the engine."),
    ("prompt_tokens", "Number of prefill tokens processed."),
    ("prompt_tokens_cached", "Number of cached prompt tokens (local + external)."),
    ("generation_tokens", "Number of generation tokens processed."),
)

LABELLED: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    ("prompt_tokens_by_source", "source", SOURCES, "Number of prompt tokens by source."),
    (
        "prompt_tokens_cached_by_source",
        "source",
        TIERS,
        "Prefix-cache hit tokens by the cache tier that supplied them.",
    ),
    ("request_success", "finished_reason", FINISHED_REASONS, "Count of successfully processed requests."),
)

TOKEN_HISTOGRAMS: tuple[tuple[str, str], ...] = (
    ("request_prompt_tokens", "Number of prefill tokens processed."),
    ("request_generation_tokens", "Number of generation tokens processed."),
    ("request_max_num_generation_tokens", "Histogram of maximum number of requested generation tokens."),
    ("request_params_max_tokens", "Histogram of the max_tokens request parameter."),
    ("request_prefill_kv_computed_tokens", "Histogram of new KV tokens computed during prefill."),
)

HISTOGRAMS: tuple[tuple[str, Sequence[float], str], ...] = (
    ("iteration_tokens_total", STEP_TOKENS, "Histogram of number of tokens per engine_step."),
    ("request_params_n", FEW, "Histogram of the n request parameter."),
    ("time_to_first_token_seconds", TTFT, "Histogram of time to first token in seconds."),
    ("inter_token_latency_seconds", ITL, "Histogram of inter-token latency in seconds."),
    ("request_time_per_output_token_seconds", ITL, "Histogram of time_per_output_token_seconds per request."),
    ("e2e_request_latency_seconds", LATENCY, "Histogram of e2e request latency in seconds."),
    ("request_queue_time_seconds", LATENCY, "Histogram of time spent in WAITING phase for request."),
    ("request_inference_time_seconds", LATENCY, "Histogram of time spent in RUNNING phase for request."),
    ("request_prefill_time_seconds", LATENCY, "Histogram of time spent in PREFILL phase for request."),
    ("request_decode_time_seconds", LATENCY, "Histogram of time spent in DECODE phase for request."),
    ("request_num_preemptions", PREEMPTIONS, "Histogram of the number of times a request was preempted."),
)

SLEEP_STATES = ("awake", "weights_offloaded", "discard_all")

GAUGES: tuple[tuple[str, str], ...] = (
    ("num_requests_running", "Number of requests in model execution batches."),
    ("num_requests_waiting", "Number of requests waiting to be processed."),
    ("kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage."),
)

LABELLED_GAUGES: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    (
        "num_requests_waiting_by_reason",
        "reason",
        ("capacity", "deferred"),
        "Number of waiting requests by reason; the sum of all reasons equals vllm:num_requests_waiting.",
    ),
    (
        "num_requests_kv_fetch_by_stage",
        "stage",
        STAGES,
        "Number of waiting requests by async KV load stage.",
    ),
    ("engine_sleep_state", "sleep_state", SLEEP_STATES, "Engine sleep state; awake = 1 means engine is awake."),
)
