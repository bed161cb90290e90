"""What the load client of `pdctl bench` can take and what it adds, beside aiohttp as `vllm bench serve` uses it.

    python benchmarks/loadgen.py [--streams 64] [--events 4000] [--rates 10000,30000] [--clients builtin,aiohttp,httpx]

A server on one core sends SSE events as vLLM words them; each client is a process on another core. First as fast as
they are taken: events per second, and per second of the client's CPU. Then at a pace, each event by itself: how long
after it was written the client had read it. `even` spreads the streams over time, `step` has all of them at one moment,
as an engine's step does.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from loadgen_guidellm import events_per_cpu_s

from pdctl.bench.figures.spread import quantile

HERE = Path(__file__).parent
AIM_EVENTS_PER_S = 30_000
AIM_ADDED_S = 0.005


@dataclass(frozen=True)
class Options:
    streams: int
    events: int
    rates: tuple[int, ...]
    seconds: float
    clients: tuple[str, ...]
    guidellm: str
    cores: tuple[int, int]


def main() -> int:
    """Prints a line per client and kind of load, with the aims."""
    options = parse()
    server_core, client_core = options.cores
    print(f"server on core {server_core}, clients on core {client_core}; load average {psutil.getloadavg()[0]:.1f}")
    with server(options.cores[0]) as url:
        rates = {name: as_fast_as_taken(name, url, options) for name in options.clients}
        rates |= guidellm(url, options)
        for name, rate in list(rates.items())[1:]:
            print(f"{options.clients[0]} reads {rates[options.clients[0]] / rate:.1f} times what {name} reads")
        for rate in options.rates:
            for kind in ("even", "step"):
                for name in options.clients:
                    at_a_pace(name, url, kind, rate, options)
    print(f"repeat: python {' '.join(sys.argv)}")
    return 0


def parse() -> Options:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--events", type=int, default=4000, help="of each stream, as fast as they are taken")
    parser.add_argument("--rates", default="10000,30000", help="events a second of all streams, at a pace")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long at that pace")
    parser.add_argument("--clients", default="builtin,aiohttp,httpx")
    parser.add_argument("--guidellm", default="guidellm", help="its command")
    given = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    return Options(
        streams=given.streams,
        events=given.events,
        rates=tuple(map(int, given.rates.split(","))),
        seconds=given.seconds,
        clients=tuple(given.clients.split(",")),
        guidellm=given.guidellm,
        cores=(cores[0], cores[-1]),
    )


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


def at_a_pace(name: str, url: str, kind: str, rate: int, options: Options) -> None:
    interval_s = options.streams / rate
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


def guidellm(url: str, options: Options) -> dict[str, float]:
    """Events per second of CPU, where it is installed."""
    command = shutil.which(options.guidellm)
    if command is None:
        print("guidellm: not installed here (--guidellm PATH)")
        return {}
    version, rate = events_per_cpu_s(command, url, options.streams, options.events, options.cores[1])
    print(f"guidellm {version}, one worker, as fast as taken: {rate:,.0f} events per second of CPU", flush=True)
    return {"guidellm": rate}


if __name__ == "__main__":
    sys.exit(main())
