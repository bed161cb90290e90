"""How long a move takes, and how much of that is pdctl: against the router's memory (its TTL), a drain and a start.

Five simulated nodes on this machine, the real vllm-router, a light streaming load; `pdctl move` is run as an operator
would, to and fro. Three figures, each with its bar:

- from the command's start until the router chooses the slot for no new request, by the router's own counters: at most
  its TTL (5 s) and 1 s;
- the drain of a slot that has nothing in hand (moves without a load): at most 6 s;
- the command's whole time, without the eviction, the drain and the engine's start: at most 2 s.

    python benchmarks/moves.py --moves 6
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from pdctl.bench.load import run_load
from pdctl.control.demo_nodes import DemoFleet, FleetOptions
from pdctl.control.opened import read_deployment
from pdctl.control.steps.routing import router_url
from pdctl.model.deployment import Deployment
from pdctl.model.load import LoadSpec
from pdctl.routers.facts import EVICT_S
from pdctl.routers.ports import router_ports

PDCTL = Path(sys.executable).with_name("pdctl")
POLL_S = 0.05
CLIENTS = 4
BARS = {"fence_s": EVICT_S + 1.0, "idle_drain_s": 6.0, "own_s": 2.0}
LEGS = re.compile(
    r'^vllm_router_pd_(?:prefill|decode)_requests_total\{[^}]*worker="(?:http://)?([^"]+)"[^}]*\} (\S+)$', re.M
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moves", type=int, default=6, help="under load, and as many without")
    options = parser.parse_args()
    figures = asyncio.run(measured(options.moves))
    print(f"{len(figures['fence_s'])} moves under a light load, {len(figures['idle_drain_s'])} without one")
    good = True
    for name, bar in BARS.items():
        values = figures[name]
        good = good and max(values) <= bar
        print(
            f"  {name:13} p50 {median(values):5.2f}  max {max(values):5.2f}  bar {bar:.1f}  "
            f"ratio {max(values) / bar:.2f}"
        )
    print(
        f"  whole command p50 {median(figures['whole_s']):.2f} s, of it the engine's start "
        f"{median(figures['ready_s']):.2f}"
    )
    return 0 if good else 1


async def measured(moves: int) -> dict[str, list[float]]:
    """Seconds by figure; one value per move."""
    figures: dict[str, list[float]] = {name: [] for name in (*BARS, "whole_s", "ready_s")}
    with tempfile.TemporaryDirectory(prefix="pdctl-moves-") as directory:
        async with DemoFleet(Path(directory), FleetOptions()) as nodes:
            _, deployment = read_deployment(nodes.inventory)
            router = f"http://127.0.0.1:{router_ports(deployment.router).metrics}/metrics"
            at = address_of(await pdctl(nodes.inventory, "up"))
            async with httpx.AsyncClient(timeout=5.0, trust_env=False) as client:
                for loaded in (True, False):
                    async with load(deployment, on=loaded):
                        for number in range(2 * (moves // 2)):
                            target = "prefill" if number % 2 else "decode"
                            took, at = await one(client, nodes.inventory, router, target, at)
                            if loaded:
                                figures["fence_s"].append(took["fence_s"])
                            else:
                                figures["idle_drain_s"].append(took["drain_s"])
                            for name in ("own_s", "whole_s", "ready_s"):
                                figures[name].append(took[name])
            await pdctl(nodes.inventory, "down")
    return figures


@asynccontextmanager
async def load(deployment: Deployment, *, on: bool) -> AsyncIterator[None]:
    """A light streaming load around the context; raises SystemExit if a request of it failed."""
    over = asyncio.Event()
    spec = LoadSpec(router_url(deployment), deployment.model.name, CLIENTS, isl=256, osl=16, requests=10**9)
    task = asyncio.create_task(run_load(spec, None, over.is_set)) if on else None
    try:
        await asyncio.sleep(1.0)
        yield
    finally:
        over.set()
        if task is not None and (report := await task).counts.failed:
            raise SystemExit(f"{report.counts.failed} requests failed: {report.failures}")


async def one(
    client: httpx.AsyncClient, inventory: Path, router: str, target: str, old: str
) -> tuple[dict[str, float], str]:
    """One move of node n2, whose engine listens at `old`: seconds, timed from outside and by its own events, and where
    its engine listens now."""
    before = await legs(client, router)
    began = time.monotonic()
    moving = asyncio.create_task(pdctl(inventory, "move", "n2", "--to", target))
    chosen: dict[str, float] = {}
    while not moving.done():
        now = await legs(client, router)
        for worker, count in now.items():
            if count != before.get(worker):
                chosen[worker] = time.monotonic() - began
        before = now
        await asyncio.sleep(POLL_S)
    events = await moving
    whole_s = time.monotonic() - began
    steps = {event["action"]: event for event in events if event["event"] == "step_done"}
    phases = next(event for event in events if event["event"] == "moved")["phases"]
    waited_s = steps["fence"]["detail"]["evicted_s"] + phases["drain"] + phases["ready"]
    took = {
        "fence_s": chosen.get(old, 0.0),
        "drain_s": phases["drain"],
        "own_s": whole_s - waited_s,
        "whole_s": whole_s,
        "ready_s": phases["ready"],
    }
    return took, address_of(events, old)


def address_of(events: list[dict[str, Any]], before: str = "") -> str:
    """Where node n2's engine listens since those events; `before` where they registered none."""
    found = [event for event in events if event["event"] == "step_done" and event["action"] == "register"]
    return next((str(event["detail"]["address"]) for event in found if event["subject"] == "n2.main.0"), before)


async def pdctl(inventory: Path, *argv: str) -> list[dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        PDCTL, "-i", inventory, *argv, "--json", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    if process.returncode:
        raise SystemExit(f"pdctl {' '.join(argv)} ended with {process.returncode}: {out.decode()[-800:]}{err.decode()}")
    return [json.loads(line) for line in out.splitlines()]


async def legs(client: httpx.AsyncClient, url: str) -> dict[str, float]:
    """By worker, how many legs of requests the router has given it."""
    found: dict[str, float] = {}
    for worker, value in LEGS.findall((await client.get(url)).text):
        found[worker] = found.get(worker, 0.0) + float(value)
    return found


if __name__ == "__main__":
    sys.exit(main())
