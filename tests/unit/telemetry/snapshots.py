"""Snapshots for tests, built as the live source builds them: from metrics text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pdctl.model.deployment import Slo
from pdctl.model.role import Role, TransferMode
from pdctl.model.snapshot import Snapshot, Vital
from pdctl.telemetry.builder import SnapshotBuilder
from pdctl.telemetry.instance import Expected
from pdctl.telemetry.kv_bytes import KvShape
from pdctl.telemetry.node_feed import Lost, Scraped
from pdctl.telemetry.scan import Scanner
from tests.unit.telemetry.scrapes import NAMES, counter, histogram

WALL_S = 1_700_000_000.0


@dataclass(slots=True)
class Bench:
    """A builder with a clock of its own, fed by hand: 1P2D on three nodes."""

    mode: TransferMode = TransferMode.WRITE
    now_s: float = 0.0
    builder: SnapshotBuilder = field(init=False)
    _scanners: dict[str, Scanner] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.builder = SnapshotBuilder("demo", Slo(1.0, 0.05, 0.95), self.mode, 1.0, KvShape(1000.0, 16))
        self.builder.expect_nodes(["n1", "n2", "n3"])
        self.builder.expect([expected("n1", Role.PREFILL), expected("n2", Role.DECODE), expected("n3", Role.DECODE)])

    def scrape(self, node: str, text: str) -> None:
        """The node's engine answers this now."""
        scanner = self._scanners.setdefault(node, Scanner(NAMES))
        self.builder.hear(node, Scraped(f"{node}.main.0", self.now_s, scanner.scan(text)), self.now_s)

    def fail(self, node: str, why: str = "connection refused") -> None:
        """The node's engine does not answer now."""
        self.builder.hear(node, Lost(f"{node}.main.0", self.now_s, why), self.now_s)

    def build(self) -> Snapshot:
        """The snapshot of now."""
        return self.builder.build(self.now_s, WALL_S + self.now_s)


def expected(node: str, role: Role, *, generation: int = 1, vital: Vital = Vital.UP) -> Expected:
    """One instance that fills its node, a member."""
    return Expected(f"{node}.main.0", node, "main", role.value, role, generation, vital, member=True)


def engine(
    tokens: float, ttft: Sequence[float] = (), itl: Sequence[float] = (), *, running: int = 1, steps: int = 0
) -> str:
    """What an engine prints after it made `tokens` and served requests with these latencies."""
    return (
        counter("generation_tokens_total", tokens)
        + counter("prompt_tokens_total", 100 * len(ttft))
        + counter("prompt_tokens_by_source_total", 100 * len(ttft), source="external_kv_transfer")
        + counter("prompt_tokens_by_source_total", 0, source="local_compute")
        + counter("num_requests_running", running)
        + counter("num_requests_waiting", 0)
        + counter("kv_cache_usage_perc", 0.25)
        + counter("request_success_total", len(ttft), finished_reason="length")
        + histogram("time_to_first_token_seconds", ttft, (0.1, 0.5, 1.0))
        + histogram("inter_token_latency_seconds", itl, (0.01, 0.05, 0.1))
        + histogram("request_prompt_tokens", [100.0] * len(ttft), (50, 100, 200))
        + histogram("iteration_tokens_total", [1.0] * steps, (1, 8))
    )


def served(seconds: int = 12) -> Snapshot:
    """A cluster that has served for a while: 10 requests a second on each node, one slow."""
    bench = Bench()
    for second in range(seconds):
        bench.now_s = float(second)
        ttft = [0.2] * (10 * second) + [3.0] * second
        for node in ("n1", "n2", "n3"):
            bench.scrape(node, engine(100.0 * second, ttft, [0.02] * (50 * second), steps=10 * second))
    return bench.build()
