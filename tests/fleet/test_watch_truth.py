"""What `watch` says beside the engines' own logs: the truth lies in every interval, and means agree within 2 %."""

from __future__ import annotations

import json
import math
import signal
import statistics
from collections.abc import Sequence
from pathlib import Path

import pytest

from pdctl.bench.load import run_load
from pdctl.model.load import LoadSpec
from pdctl.sim.fleet_inventory import MODEL_NAME
from tests.fleet.command import Json
from tests.fleet.site import Site

pytestmark = [pytest.mark.fleet, pytest.mark.slow]

REQUESTS = 60
LEGS = {"prefill": "prefill", "decode": "fetch-async"}  # in WRITE, decode waits for KV that is pushed


async def test_pool_figures_hold_the_truth_of_the_engines_logs(serving: Site, tmp_path: Path) -> None:
    """Every request of the load falls into the five-minute window, and no other does."""
    log = tmp_path / "requests.ndjson"  # of all engines; each writes whole lines at the end
    there = serving.with_inventory(
        tmp_path,
        lambda document: document["engine"].setdefault("env", {}).update(PDCTL_SIM_REQUEST_LOG=str(log)),
    )
    (await there.pdctl("up", "--json")).expect(0)
    before = len(lines(log))
    async with there.starts("--json", "watch", "--interval", "0.5") as watch:
        await watch.until(lambda line: line["pools"]["decode"]["windows"]["300"]["covered_s"] > 0, "two scrapes")
        spec = LoadSpec(
            url=serving.router_url, model=MODEL_NAME, concurrency=6, isl=700, osl=24, requests=REQUESTS, deadline_s=60.0
        )
        report = await run_load(spec)
        last = await watch.until(lambda line: ended(line) >= REQUESTS, "all requests are counted")
        watch.send(signal.SIGINT)
        (await watch.end()).expect(0)
    assert report.counts.ok == REQUESTS
    told = lines(log)[before:]
    for pool in ("prefill", "decode"):
        rows = [row for row in told if row["leg"] == LEGS[pool]]
        ttft = [row["first_token"] - row["arrival"] for row in rows]
        latency = last["pools"][pool]["windows"]["300"]["latencies"]["ttft"]
        assert latency["count"]["low"] == len(ttft) == REQUESTS
        agrees(latency, ttft)
    gaps = last["pools"]["decode"]["windows"]["300"]["latencies"]["itl"]
    tokens = [row["itl_mean_s"] for row in told if row["leg"] == LEGS["decode"]]
    assert gaps["mean"]["low"] == pytest.approx(statistics.mean(tokens), rel=0.02)
    e2e = [row["finished"] - row["arrival"] for row in told if row["leg"] == LEGS["decode"]]
    agrees(last["pools"]["decode"]["windows"]["300"]["latencies"]["e2e"], e2e)


def agrees(latency: Json, truth: Sequence[float]) -> None:
    assert latency["mean"]["low"] == pytest.approx(statistics.mean(truth), rel=0.02)
    ordered = sorted(truth)
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
        rank = share * (len(ordered) - 1)
        low, high = ordered[math.floor(rank)], ordered[math.ceil(rank)]
        assert latency[name]["low"] - 1e-3 <= low <= high <= latency[name]["high"] + 1e-3, name


def ended(line: Json) -> float:
    count = line["pools"]["decode"]["windows"]["300"]["latencies"]["e2e"]["count"]
    return float(count.get("low", 0.0))


def lines(log: Path) -> list[Json]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
