"""NIXL's own metric families (vLLM 0.33 nixl/stats.py). Only the decode side sees transfers, as in real runs."""

from __future__ import annotations

from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram

_ENGINE = ("model_name", "engine")
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 5.0)
_BYTES = tuple(2.0**power for power in range(11, 34, 2))
_DESCRIPTORS = (10, 20, 30, 50, 75, 100, 200, 400, 1000, 2000, 4000, 10000, 20000, 50000)


class NixlStats(Protocol):
    """Hears of a NIXL connector's transfers, per local rank."""

    def transferred(self, rank: int, took_s: float, size_bytes: float, descriptors: int) -> None: ...

    def failed(self, rank: int) -> None: ...

    def expired(self, rank: int) -> None:
        """A prefill's KV was freed because its lease was over."""
        ...


class NixlMetrics:
    """NixlStats as Prometheus families."""

    def __init__(self, registry: CollectorRegistry, model_name: str, ranks: int) -> None:
        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> list[Histogram]:
            family = Histogram(f"vllm:nixl_{name}", text, _ENGINE, buckets=buckets, registry=registry)
            return [family.labels(model_name, str(rank)) for rank in range(ranks)]

        def counter(name: str, text: str) -> list[Counter]:
            family = Counter(f"vllm:nixl_{name}", text, _ENGINE, registry=registry)
            return [family.labels(model_name, str(rank)) for rank in range(ranks)]

        self._times = histogram("xfer_time_seconds", "Histogram of transfer duration for NIXL KV transfers.", _SECONDS)
        histogram("post_time_seconds", "Histogram of transfer post time for NIXL KV transfers.", (0.001, *_SECONDS))
        self._bytes = histogram("bytes_transferred", "Histogram of bytes per NIXL KV transfer.", _BYTES)
        self._descriptors = histogram("num_descriptors", "Histogram of descriptors per NIXL transfer.", _DESCRIPTORS)
        self._failed = counter("num_failed_transfers", "Number of failed NIXL KV Cache transfers.")
        counter("num_failed_notifications", "Number of failed NIXL KV Cache notifications.")
        self._expired = counter("num_kv_expired_reqs", "Number of requests that had their KV expire.")
        counter("num_notifications_after_expiry", "Number of notifications for requests no longer tracked.")

    def transferred(self, rank: int, took_s: float, size_bytes: float, descriptors: int) -> None:
        self._times[rank].observe(took_s)
        self._bytes[rank].observe(size_bytes)
        self._descriptors[rank].observe(descriptors)

    def failed(self, rank: int) -> None:
        self._failed[rank].inc()

    def expired(self, rank: int) -> None:
        self._expired[rank].inc()
