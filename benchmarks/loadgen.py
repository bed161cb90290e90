"""What the load client of `pdctl bench` can take and what it adds, beside aiohttp as `vllm bench serve` uses it.

    python benchmarks/loadgen.py [--streams 64] [--events 4000] [--rate 10000] [--clients builtin,aiohttp,httpx]

A server on one core sends SSE events as vLLM words them; each client is a process on another core. First as fast as
they are taken: events per second, and per second of the client's CPU. Then at a pace, each event by itself: how long
after it was written the client had read it. `even` spreads the streams over time, `step` has all of them at one moment,
as an engine's step does.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from pdctl.bench.figures.spread import quantile

HERE = Path(__file__).parent
AIM_EVENTS_PER_S = 30_000
AIM_ADDED_S = 0.005


@dataclass(frozen=True)
class Options:
    streams: int
    events: int
    rate: int
    seconds: float
    clients: tuple[str, ...]
    cores: tuple[int, int]


def main() -> int:
    """Prints a line per client and kind of load, with the aims."""
    options = parse()
    print(
        f"server on core {options.cores[0]}, clients on core {options.cores[1]}; load average {psutil.getloadavg()[0]:.1f}"
    )
    with server(options.cores[0]) as url:
        rates = {name: as_fast_as_taken(name, url, options) for name in options.clients}
        for name, rate in rates.items():
            others = ", ".join(f"{rate / other:.1f}x {who}" for who, other in rates.items() if who != name)
            print(f"{name}: {others}")
        for kind in ("even", "step"):
            for name in options.clients:
                at_a_pace(name, url, kind, options)
    print(guidellm())
    print(f"repeat: python {' '.join(sys.argv)}")
    return 0


def parse() -> Options:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--events", type=int, default=4000, help="of each stream, as fast as they are taken")
    parser.add_argument("--rate", type=int, default=10_000, help="events a second of all streams, at a pace")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long at that pace")
    parser.add_argument("--clients", default="builtin,aiohttp,httpx")
    given = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    pair = (cores[0], cores[-1])
    return Options(given.streams, given.events, given.rate, given.seconds, tuple(given.clients.split(",")), pair)


@contextmanager
def server(core: int) -> Iterator[str]:
    command = [sys.executable, str(HERE / "loadgen_server.py"), str(core)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        yield f"http://127.0.0.1:{int(child.stdout.readline())}"
        child.stdin.close()


def run(name: str, url: str, model: str, streams: int, events: int, core: int) -> dict[str, Any]:
    command = [sys.executable, str(HERE / "loadgen_clients.py"), name, url, model, str(streams), str(events), str(core)]
    said = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    answer: dict[str, Any] = json.loads(said)
    return answer


def as_fast_as_taken(name: str, url: str, options: Options) -> float:
    """Events per second of the client's CPU."""
    got = run(name, url, "fast", options.streams, options.events, options.cores[1])
    per_wall, per_cpu = got["events"] / got["wall_s"], got["events"] / got["cpu_s"]
    print(
        f"{name}, {options.streams} streams, as fast as taken: {per_wall:,.0f} events/s, "
        f"{per_cpu:,.0f} per second of CPU (aim {AIM_EVENTS_PER_S:,})",
        flush=True,
    )
    return float(per_cpu)


def at_a_pace(name: str, url: str, kind: str, options: Options) -> None:
    interval_s = options.streams / options.rate
    events = round(options.seconds / interval_s)
    urllib.request.urlopen(f"{url}/stamps").read()
    got = run(name, url, f"{kind}:{interval_s}", options.streams, events, options.cores[1])
    written: dict[str, list[float]] = json.loads(urllib.request.urlopen(f"{url}/stamps").read())
    added = sorted(
        read - wrote
        for answer, times in got["times"].items()
        for read, wrote in zip(times, written[answer], strict=True)
    )
    span_s = max(map(max, written.values())) - min(map(min, written.values()))
    print(
        f"{name}, {kind}: {len(added) / span_s:,.0f} events/s; added p50 {quantile(added, 0.5) * 1e3:.2f} ms, "
        f"p99 {quantile(added, 0.99) * 1e3:.2f} ms (aim {AIM_ADDED_S * 1e3:g} ms), most {added[-1] * 1e3:.1f} ms; "
        f"{got['cpu_s'] / got['events'] * 1e6:.1f} us of CPU an event",
        flush=True,
    )


def guidellm() -> str:
    return "guidellm: not installed here"


if __name__ == "__main__":
    sys.exit(main())
