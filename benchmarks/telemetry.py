"""What live figures cost: the scanner beside prometheus_client, a tick of 256 instances, memory, and a recording.

    python benchmarks/telemetry.py [--dump FILE] [--instances 256] [--seconds 3600]

CPU times are of this process. The scanner's is a ratio; a tick's is a share of one core at one tick a second, all in:
what the nodes sent is read, every window's figures are made, and nothing is shown. The engines' metrics are a capture
of vLLM 0.32 (data/vllm-0.32-cpu-decode.txt: a decode engine of a 1P2D stack on CPU with NIXL 1.5.1, our own) unless
`--dump` names another; half of the numbers change at every tick.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
from prometheus_client.parser import text_string_to_metric_families

from pdctl.control.without_gc import without_gc
from pdctl.model.deployment import Slo
from pdctl.model.role import Role, TransferMode
from pdctl.model.snapshot import Snapshot
from pdctl.telemetry.builder import SnapshotBuilder
from pdctl.telemetry.families import ENGINE_FAMILIES, scraped_names
from pdctl.telemetry.instance import Expected
from pdctl.telemetry.kv_bytes import KvShape
from pdctl.telemetry.node_feed import NodeFeed
from pdctl.telemetry.recording import Recorder
from pdctl.telemetry.scan import Scanner

NAMES = scraped_names(ENGINE_FAMILIES)
DUMP = Path(__file__).with_name("data") / "vllm-0.32-cpu-decode.txt"
WALL_S = 1.7e9
DAY_TICKS = 3600 + (86_400 - 3600) / 10
"""What a recording of a day keeps: every second of the last hour, every tenth before."""


def main() -> int:
    """Prints one line per figure, with its aim."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dump", type=Path, default=DUMP, help="metrics of an engine")
    parser.add_argument("--instances", type=int, default=256)
    parser.add_argument("--seconds", type=int, default=600, help="simulated time of the memory run")
    options = parser.parse_args()
    text = options.dump.read_text()
    text = text[text.index("# ") :]
    print(f"one dump: {len(text) / 1e3:.0f} kB; load average {psutil.getloadavg()[0]:.1f}")
    scanner_ratio(text)
    tick_share(text, options.instances)
    memory_growth(text, options.seconds)
    recording_size(text)
    print(f"repeat: python {' '.join(sys.argv)}")
    return 0


def scanner_ratio(text: str) -> None:
    scanner = Scanner(NAMES)
    scanner.scan(text)
    ours = cpu_s(lambda: scanner.scan(text), 200)
    theirs = cpu_s(lambda: list(text_string_to_metric_families(text)), 20)
    print(f"scanner: {ours * 1e3:.2f} ms, prometheus_client {theirs * 1e3:.2f} ms: {theirs / ours:.1f}x (aim 20x)")


def tick_share(text: str, instances: int) -> None:
    """With all windows full; over a minute, in which each long window is merged anew as often as it is in a minute."""
    cluster = Simulated(text, instances)
    for _ in range(64):
        cluster.tick(5)
    took = []
    for _ in range(60):
        lines = cluster.lines()
        began_s = time.process_time()
        cluster.hear(lines)
        cluster.build()
        took.append(time.process_time() - began_s)
    mean_s = statistics.mean(took)
    print(
        f"a tick of {instances} instances: {mean_s * 1e3:.0f} ms, {mean_s:.1%} of a core at 1 Hz (aim 15 %);", end=" "
    )
    print(f"the longest {max(took) * 1e3:.0f} ms")


def memory_growth(text: str, seconds: int) -> None:
    """Of 16 instances: after the first six minutes, in which the longest window fills, nothing may grow."""
    cluster = Simulated(text, 16)
    process = psutil.Process()
    filled = 0
    for second in range(400 + seconds):
        cluster.tick()
        if second == 400:
            gc.collect()
            filled = process.memory_info().rss
    gc.collect()
    grown = process.memory_info().rss - filled
    print(f"memory over {seconds} simulated seconds, 16 instances: {grown / 1e6:+.1f} MB (aim: flat)")


def recording_size(text: str) -> None:
    cluster, ticks = Simulated(text, 8), 240
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "r.db")
        recorder = Recorder(path, "bench")
        began_s = time.process_time()
        spent_s = 0.0
        for _ in range(ticks):
            snapshot = cluster.tick()
            began_s = time.process_time()
            recorder.add(snapshot)
            spent_s += time.process_time() - began_s
        recorder.close()
        size = path.stat().st_size / ticks / 8
    day = size * DAY_TICKS / 1e6
    print(f"recording: {size:.0f} bytes a tick and rank, {day:.2f} MB a rank and day (aim 2 MB);", end=" ")
    print(f"{spent_s / ticks / 8 * 1e3:.2f} ms of CPU a tick and rank")


class Simulated:
    """Engines on as many nodes, whose scrapers send what changed: half of their numbers, every second."""

    def __init__(self, text: str, instances: int) -> None:
        self.chance = random.Random(1)
        self.second = 0
        self.begun: set[str] = set()
        self.heads, self.values = split(text)
        self.names = [f"n{number}.main.0" for number in range(instances)]
        self.feeds = {name: NodeFeed(NAMES) for name in self.names}
        slo = Slo(1.0, 0.05, 0.95)
        self.builder = SnapshotBuilder("bench", slo, TransferMode.READ, 1.0, KvShape(70272.0, 16))
        self.builder.expect([expected(name, number) for number, name in enumerate(self.names)])
        self.builder.expect_nodes([name.partition(".")[0] for name in self.names])
        for name, feed in self.feeds.items():
            feed.take(said(k="heads", t=name, heads=self.heads, **{"from": 0}))

    def lines(self, seconds: int = 1) -> list[tuple[str, bytes]]:
        """What the nodes send after so many seconds."""
        self.second += seconds
        return [(name, self._values(name)) for name in self.names]

    def hear(self, lines: list[tuple[str, bytes]]) -> None:
        for name, line in lines:
            heard = self.feeds[name].take(line)
            if heard is not None:
                self.builder.hear(name.partition(".")[0], heard, self.second + 0.5)

    def build(self) -> Snapshot:
        with without_gc():  # as `control.watch` does
            return self.builder.build(self.second + 0.9, WALL_S + self.second)

    def tick(self, seconds: int = 1) -> Snapshot:
        self.hear(self.lines(seconds))
        return self.build()

    def _values(self, name: str) -> bytes:
        numbers = self._changed() if name in self.begun else range(len(self.values))
        self.begun.add(name)
        values = {str(number): f"{self.values[number] + self.second}" for number in numbers}
        return said(k="values", t=name, at=float(self.second), n=len(self.values), v=values)

    def _changed(self) -> Iterator[int]:
        return (number for number in range(len(self.values)) if self.chance.random() < 0.5)


def split(text: str) -> tuple[list[str], list[float]]:
    rows = [line.rpartition(" ") for line in text.splitlines() if line and line[0] != "#"]
    used = [(head, float(value)) for head, _, value in rows if head.partition("{")[0] in NAMES]
    return [head for head, _ in used], [value for _, value in used]


def expected(name: str, number: int) -> Expected:
    role = Role.PREFILL if number % 3 == 0 else Role.DECODE
    return Expected(name, name.partition(".")[0], "main", role.value, role, 1)


def said(**message: object) -> bytes:
    return json.dumps(message).encode()


def cpu_s(action: Callable[[], object], times: int) -> float:
    """The smallest CPU time of one run: what else the machine does only ever adds."""
    best = float("inf")
    for _ in range(times):
        began_s = time.process_time()
        action()
        best = min(best, time.process_time() - began_s)
    return best


if __name__ == "__main__":
    sys.exit(main())
