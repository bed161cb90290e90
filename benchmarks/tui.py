"""What the terminal costs: CPU and bytes a tick over 256 nodes, the first paint, and a key beside a node that hangs.

    python benchmarks/tui.py [--nodes 256] [--hz 2] [--seconds 15]

CPU is of this process, all in: a snapshot is taken, kept in the history, laid out, painted, and turned into the ANSI
bytes that a terminal gets; they are counted and dropped. What it takes to make a snapshot is `benchmarks/telemetry.py`.
Every load and rate of every engine changes at every tick, and latencies of a tenth of them.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import gc
import math
import os
import pty
import random
import statistics
import struct
import subprocess
import sys
import termios
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
from textual.drivers.headless_driver import HeadlessDriver

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pdctl.advisor.rank import Objective
from pdctl.model.deployment import Slo
from pdctl.model.figure import Figure
from pdctl.model.snapshot import InstanceFigures, Snapshot
from pdctl.tui.advice_apart import ApartAdviser
from pdctl.tui.advising import Adviser, Query
from pdctl.tui.app import PdctlApp
from pdctl.tui.fleet_table import FleetTable
from pdctl.tui.settings import Settings
from tests.tui.fakes import FakeOperations
from tests.tui.fleet import snapshot
from tests.unit.deployments import r1_2p3d

SIZE = (160, 50)
VIEWS = ("pulse", "nodes", "matrix", "health", "advisor")
KEY_NODES = 64
KEYS = 200
FIRST_PAINTS = 5
SLO = Slo(10.0, 0.1, 0.95)
INVENTORY = Path(__file__).parents[1] / "inventories" / "standard-tp8.yaml"


class CountingDriver(HeadlessDriver):
    """A terminal that nobody looks at, for which ANSI is made all the same: `run_test` alone would skip it."""

    written = 0

    @property
    def is_headless(self) -> bool:
        return False

    def write(self, data: str) -> None:
        CountingDriver.written += len(data.encode())


class Feed:
    """Snapshots at a rate, made before."""

    transport = None

    def __init__(self, ticks: Sequence[Snapshot], interval_s: float) -> None:
        self.ticks, self.interval_s = ticks, interval_s
        self.sent = 0

    def set_interval(self, interval_s: float) -> None:
        self.interval_s = interval_s

    async def snapshots(self) -> AsyncIterator[Snapshot]:
        while True:
            tick = self.ticks[self.sent % len(self.ticks)]
            yield replace(tick, seq=self.sent, taken_s=time.time(), interval_s=self.interval_s)
            self.sent += 1
            await asyncio.sleep(self.interval_s)


def main() -> int:
    """Prints one line per figure, with its aim. Returns 1 if one was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=256)
    parser.add_argument("--hz", type=float, default=2.0)
    parser.add_argument("--seconds", type=float, default=15.0, help="for each view")
    options = parser.parse_args()
    print(f"load average {psutil.getloadavg()[0]:.1f}; terminal {SIZE[0]}x{SIZE[1]}")
    met = [first_paint()]
    ticks = fleet(options.nodes, 24)
    met += [asyncio.run(tick_cost(view, ticks, options.hz, options.seconds)) for view in VIEWS]
    met.append(asyncio.run(key_to_paint()))
    met.append(asyncio.run(key_to_paint(ApartAdviser())))
    print(f"repeat: python {' '.join(sys.argv)}")
    return 0 if all(met) else 1


def fleet(nodes: int, count: int) -> list[Snapshot]:
    """Ticks of a fleet, a quarter of it prefill, that differ as those of a busy one do; no more pairs than 16 x 16."""
    dice = random.Random(7)
    prefills = nodes // 4
    first = snapshot(prefills, nodes - prefills)
    pairs = [pair for pair in first.pairs if pair.prefill <= "n16" and pair.decode < f"n{prefills + 17:02d}"][:256]
    return [
        replace(
            first,
            pairs=tuple(pairs),
            instances={name: moved(item, dice) for name, item in first.instances.items()},
        )
        for _ in range(count)
    ]


def moved(item: InstanceFigures, dice: random.Random) -> InstanceFigures:
    """The engine at another moment."""

    def near(figure: Any) -> Any:
        if not isinstance(figure, Figure):
            return figure
        factor = math.exp(dice.gauss(0.0, 0.1))
        return replace(figure, low=figure.low * factor, high=figure.high * factor)

    window = item.windows[10]
    flow = replace(
        window.flow,
        requests=near(window.flow.requests),
        tokens_in=near(window.flow.tokens_in),
        tokens_out=near(window.flow.tokens_out),
    )
    latencies = window.latencies
    if dice.random() < 0.1:
        ttft = replace(latencies.ttft, mean=near(latencies.ttft.mean), p99=near(latencies.ttft.p99))
        latencies = replace(latencies, ttft=ttft)
    load = replace(
        item.load,
        running=Figure.exact(float(dice.randrange(0, 64)), 0.0),
        waiting=Figure.exact(float(dice.randrange(0, 8)), 0.0),
        kv_usage=near(item.load.kv_usage),
    )
    return replace(item, load=load, windows={10: replace(window, flow=flow, latencies=latencies)})


def app_over(feed: Feed, view: str = "pulse", operations: FakeOperations | None = None) -> PdctlApp:
    """The app on a terminal that counts."""
    app = PdctlApp(feed, operations or FakeOperations(deployment=r1_2p3d()), Settings(start=view))
    app.driver_class = CountingDriver
    return app


async def tick_cost(view: str, ticks: Sequence[Snapshot], hz: float, seconds: float) -> bool:
    """CPU and bytes of a view while the fleet ticks."""
    feed = Feed(ticks, 1.0 / hz)
    app = app_over(feed, view)
    async with app.run_test(headless=False, size=SIZE):
        await asyncio.sleep(3.0)
        gc.collect()
        began, cpu_s, sent, written = time.monotonic(), time.process_time(), feed.sent, CountingDriver.written
        await asyncio.sleep(seconds)
        passed = time.monotonic() - began
        share = (time.process_time() - cpu_s) / passed
        count = max(1, feed.sent - sent)
        per_tick = (CountingDriver.written - written) / count
    nodes = len(ticks[0].nodes)
    print(
        f"{view}: {nodes} nodes at {hz:g} Hz: {share:.1%} of a core, {share * passed / count * 1e3:.1f} ms and "
        f"{per_tick / 1e3:.2f} kB of ANSI a tick (aim 10 %)"
    )
    return share <= 0.10


def painted_cpu_s() -> float:
    """`pdctl top` in a pseudo-terminal, over nodes that do not answer: its CPU when the first picture has come."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0))
    command = [str(Path(sys.executable).with_name("pdctl")), "-i", str(INVENTORY), "top"]
    process = subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, env={**os.environ, "TERM": "xterm-256color"}
    )
    os.close(slave)
    seen = b""
    try:
        while b"Quit" not in seen:  # the footer: the last line of the first picture
            seen += os.read(master, 65536)
        used = psutil.Process(process.pid).cpu_times()
        return used.user + used.system
    finally:
        process.kill()
        process.wait()
        os.close(master)


def first_paint() -> bool:
    """Median over fresh processes, the start of the interpreter and every import counted."""
    took = [painted_cpu_s() for _ in range(FIRST_PAINTS)]
    middle = statistics.median(took)
    print(f"start to first paint: {middle:.2f} s of CPU ({min(took):.2f} - {max(took):.2f}; aim 1 s)")
    return middle <= 1.0


async def key_to_paint(adviser: Adviser | None = None) -> bool:
    """A key in the table while 64 nodes tick at 2 Hz and every question to the nodes hangs: until bytes are written.
    With an `adviser`, it is asked for one advice after the other meanwhile."""
    feed = Feed(fleet(KEY_NODES, 24), 0.5)
    app = app_over(feed, "nodes", FakeOperations(hang=asyncio.Event()))
    took: list[float] = []
    async with app.run_test(headless=False, size=SIZE):
        await asyncio.sleep(2.0)
        app.simulate_key("enter")  # opens a node, which asks the nodes
        await asyncio.sleep(1.0)
        app.simulate_key("escape")
        await asyncio.sleep(0.5)
        advising = asyncio.create_task(without_pause(adviser)) if adviser is not None else None
        dice = random.Random(3)
        for number in range(KEYS):
            before, began = CountingDriver.written, time.perf_counter()
            table = app.screen.query_one("#fleet", FleetTable)
            row = table.cursor_id
            app.simulate_key("down" if number % 40 < 20 else "up")
            while CountingDriver.written == before or table.cursor_id == row:  # noqa: ASYNC110 - bytes are waited for
                await asyncio.sleep(0.0005)
            took.append(time.perf_counter() - began)
            await asyncio.sleep(dice.uniform(0.01, 0.06))
        if advising is not None:
            advising.cancel()
            await asyncio.gather(advising, return_exceptions=True)
    took.sort()
    p99 = took[math.ceil(len(took) * 0.99) - 1]
    beside = "a hang" if adviser is None else "a hang and one advice after the other"
    print(
        f"key to paint beside {beside}, {KEY_NODES} nodes ticking: p50 {took[len(took) // 2] * 1e3:.1f} ms, "
        f"p99 {p99 * 1e3:.1f} ms (aim 50 ms)"
    )
    return p99 <= 0.050


async def without_pause(adviser: Adviser) -> None:
    """Ask for what the Advisor asks for every half minute, until cancelled."""
    while True:
        await adviser.advise(Query(r1_2p3d(), 8192, 1024, 2.0, None, SLO, Objective.GOODPUT, "a benchmark"))


if __name__ == "__main__":
    raise SystemExit(main())
