"""The engine's Prometheus metrics, with vLLM 0.33's names, types, labels and buckets.

Three families are ours and say what no engine tells: `pdctl_sim_kv_handoffs_total{direction}` counts prefills handed
over ("sent") and taken over ("received"); `pdctl_sim_kv_pinned_requests` those whose KV is still held for a peer;
`pdctl_sim_loop_lag_seconds` is how late the event loop ended steps: of a starved machine nothing can be measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from pdctl.sim import metric_families as families
from pdctl.sim.scheduler import RankScheduler
from pdctl.sim.sim_request import Leg, SimRequest

_ENGINE = ("model_name", "engine")
LAG_BUCKETS_S = (0.0001, 0.0002, 0.0005, 0.001, 0.0012, 0.0015, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1)


@dataclass(frozen=True, slots=True)
class RankMetrics:
    """The children of one engine label, looked up once: a token must cost microseconds."""

    counters: Mapping[str, Counter]
    labelled: Mapping[tuple[str, str], Counter]
    histograms: Mapping[str, Histogram]


class EngineMetrics:
    """All families of one engine. Implements the core's Observer; gauges are read from the ranks at each scrape."""

    def __init__(
        self,
        model_name: str,
        ranks: Sequence[RankScheduler],
        *,
        max_model_len: int,
        consumer: bool,
        cache_config: Mapping[str, str],
    ) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._model = model_name
        self._schedulers = tuple(ranks)
        self._gauges = self._make_gauges(consumer)
        self._ranks = self._make_ranks(families.token_buckets(max_model_len))
        self._make_cache_info(cache_config)
        self._rejections = Counter(
            "vllm:admission_rejections",
            "Number of admission attempts rejected by a queue limit, by reason.",
            ("model_name", "reason"),
            registry=self.registry,
        )
        for reason in ("max_num_queued_reqs", "max_num_queued_tokens"):
            self._rejections.labels(model_name, reason)
        self._http = Counter(
            "http_requests",
            "Total number of requests by method, status and handler.",
            ("handler", "method", "status"),
            registry=self.registry,
        )
        self._handoffs = Counter(
            "pdctl_sim_kv_handoffs", "Prefills handed over or taken over.", ("direction",), registry=self.registry
        )
        for direction in ("sent", "received"):
            self._handoffs.labels(direction)
        self._lag = Histogram(
            "pdctl_sim_loop_lag_seconds",
            "How long after it was due the event loop ended a step.",
            registry=self.registry,
            buckets=LAG_BUCKETS_S,
        )

    def late(self, seconds: float) -> None:
        """A step ended so late."""
        self._lag.observe(max(0.0, seconds))

    def render(self) -> bytes:
        """The exposition text of now."""
        for index, rank in enumerate(self._schedulers):
            self._read_rank(str(index), rank)
        self._gauges["pinned"].set(sum(rank.pinned for rank in self._schedulers))
        return generate_latest(self.registry)

    def http_answered(self, handler: str, method: str, status: int) -> None:
        """Count an HTTP answer, as prometheus-fastapi-instrumentator does: status grouped, unknown paths "none"."""
        self._http.labels(handler, method, f"{status // 100}xx").inc()

    def rejected(self, reason: str) -> None:
        self._rejections.labels(self._model, reason).inc()

    def step(self, rank: int, prompt_tokens: int, generated: int) -> None:
        """Observer."""
        mine = self._ranks[rank]
        mine.counters["generation_tokens"].inc(generated)
        mine.histograms["iteration_tokens_total"].observe(prompt_tokens + generated)

    def token(self, request: SimRequest, gap_s: float | None) -> None:
        """Observer."""
        mine = self._ranks[request.rank]
        if gap_s is not None:
            mine.histograms["inter_token_latency_seconds"].observe(gap_s)
            return
        assert request.first_token_s is not None
        mine.histograms["time_to_first_token_seconds"].observe(request.first_token_s - request.arrival_s)
        fetched = request.fetched
        local = request.prompt_tokens - fetched
        mine.counters["prompt_tokens"].inc(request.prompt_tokens)
        mine.counters["prefix_cache_queries"].inc(request.prompt_tokens)
        mine.labelled["prompt_tokens_by_source", "local_compute"].inc(local)
        if fetched:
            mine.labelled["prompt_tokens_by_source", "external_kv_transfer"].inc(fetched)
            mine.labelled["prompt_tokens_cached_by_source", "p2p"].inc(fetched)
            mine.counters["prompt_tokens_cached"].inc(fetched)
            mine.counters["external_prefix_cache_queries"].inc(fetched)
            mine.counters["external_prefix_cache_hits"].inc(fetched)
            self._handoffs.labels("received").inc()

    def ended(self, request: SimRequest) -> None:
        """Observer. A request that never got in, or died with the engine, is in no histogram."""
        outcome = request.outcome
        if outcome not in families.FINISHED_REASONS:
            return
        mine = self._ranks[request.rank]
        if not request.client_left:  # vLLM forgets such a request before it counts (0.32, abort_requests)
            mine.labelled["request_success", outcome].inc()
        if request.leg is Leg.PREFILL and outcome == "length":
            self._handoffs.labels("sent").inc()
        if outcome in ("stop", "length"):
            _observe_finished(mine.histograms, request)

    def _make_gauges(self, consumer: bool) -> dict[str, Gauge]:
        gauges = {name: Gauge(f"vllm:{name}", text, _ENGINE, registry=self.registry) for name, text in families.GAUGES}
        for name, label, _, text in families.LABELLED_GAUGES:
            if consumer or name != "num_requests_kv_fetch_by_stage":
                gauges[name] = Gauge(f"vllm:{name}", text, (*_ENGINE, label), registry=self.registry)
        gauges["pinned"] = Gauge(
            "pdctl_sim_kv_pinned_requests", "Finished prefills whose KV is held for a peer.", registry=self.registry
        )
        return gauges

    def _make_ranks(self, token_buckets: Sequence[float]) -> list[RankMetrics]:
        counters = {
            name: Counter(f"vllm:{name}", text, _ENGINE, registry=self.registry) for name, text in families.COUNTERS
        }
        labelled = {
            name: (Counter(f"vllm:{name}", text, (*_ENGINE, label), registry=self.registry), values)
            for name, label, values, text in families.LABELLED
        }
        shapes = [(name, token_buckets, text) for name, text in families.TOKEN_HISTOGRAMS]
        histograms = {
            name: Histogram(f"vllm:{name}", text, _ENGINE, buckets=buckets, registry=self.registry)
            for name, buckets, text in (*shapes, *families.HISTOGRAMS)
        }
        return [
            RankMetrics(
                {name: family.labels(self._model, str(rank)) for name, family in counters.items()},
                {
                    (name, value): family.labels(self._model, str(rank), value)
                    for name, (family, values) in labelled.items()
                    for value in values
                },
                {name: family.labels(self._model, str(rank)) for name, family in histograms.items()},
            )
            for rank in range(len(self._schedulers))
        ]

    def _make_cache_info(self, cache_config: Mapping[str, str]) -> None:
        info = Gauge(
            "vllm:cache_config_info",
            "Information of the LLMEngine CacheConfig",
            (*cache_config, "engine"),
            registry=self.registry,
        )
        for rank in range(len(self._schedulers)):
            info.labels(*cache_config.values(), str(rank)).set(1)

    def _read_rank(self, engine: str, rank: RankScheduler) -> None:
        me = (self._model, engine)
        loaded = sum(1 for request in rank.waiting if request.fetched)
        capacity, deferred = len(rank.waiting) - loaded, len(rank.deferred) + loaded
        self._gauges["num_requests_running"].labels(*me).set(len(rank.running))
        self._gauges["num_requests_waiting"].labels(*me).set(capacity + deferred)
        self._gauges["kv_cache_usage_perc"].labels(*me).set(rank.pool.usage)
        by_reason = self._gauges["num_requests_waiting_by_reason"]
        by_reason.labels(*me, "capacity").set(capacity)
        by_reason.labels(*me, "deferred").set(deferred)
        for state in families.SLEEP_STATES:
            self._gauges["engine_sleep_state"].labels(*me, state).set(state == "awake")
        stages = self._gauges.get("num_requests_kv_fetch_by_stage")
        if stages is not None:
            starting = sum(1 for r in rank.waiting if r.leg is Leg.FETCH_ASYNC and not r.fetched)
            for stage, count in zip(families.STAGES, (starting, len(rank.deferred), loaded), strict=True):
                stages.labels(*me, stage).set(count)


def _observe_finished(histograms: Mapping[str, Histogram], request: SimRequest) -> None:
    scheduled, first, last = request.scheduled_s, request.first_token_s, request.last_token_s
    if scheduled is None or first is None or last is None:
        return
    arrival = request.arrival_s
    histograms["request_prompt_tokens"].observe(request.prompt_tokens)
    histograms["request_generation_tokens"].observe(request.produced)
    histograms["request_max_num_generation_tokens"].observe(request.max_tokens)
    histograms["request_params_max_tokens"].observe(request.max_tokens)
    histograms["request_prefill_kv_computed_tokens"].observe(request.prompt_tokens - request.fetched)
    histograms["request_params_n"].observe(1)
    histograms["request_num_preemptions"].observe(0)
    histograms["e2e_request_latency_seconds"].observe(last - arrival)
    histograms["request_queue_time_seconds"].observe(scheduled - arrival)
    histograms["request_prefill_time_seconds"].observe(first - scheduled)
    histograms["request_decode_time_seconds"].observe(last - first)
    histograms["request_inference_time_seconds"].observe(last - scheduled)
    gaps = request.produced - 1
    histograms["request_time_per_output_token_seconds"].observe((last - first) / gaps if gaps else 0.0)
