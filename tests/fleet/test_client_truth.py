"""What `watch` says of clients beside the load generator that was the client: the truth lies in every interval, and
means agree within 2 %."""

from __future__ import annotations

import os
import signal
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pdctl.bench.figures.spread import quantile
from pdctl.bench.load import run_load
from pdctl.model.load import LoadSpec
from pdctl.model.outcome import RequestResult
from pdctl.sim.fleet_inventory import MODEL_NAME
from pdctl.telemetry.client_view import ROUTE_S
from tests.fleet.command import Json
from tests.fleet.site import Site, simulated_nodes

pytestmark = [pytest.mark.fleet, pytest.mark.slow]

REQUESTS = 48
SPEED = 0.06
"""So slow that the router's milliseconds are less than 2 %: 0.9 s for a prefill, 0.17 s for a token."""


@pytest.fixture(params=["write", "read"])
def slow_fleet(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """2P2D of slow engines, in one of the two transfer modes."""
    options = ("--mode", request.param, "--layout", "2P2D", "--env", f"PDCTL_SIM_SPEED={SPEED}")
    with simulated_nodes(tmp_path, *options) as site:
        yield site


async def test_client_figures_hold_the_truth_of_the_load_generator(slow_fleet: Site) -> None:
    """Every request of the load falls into the five-minute window, and no other does."""
    operator = slow_fleet.operator
    (await operator.pdctl("up", "--json")).expect(0)
    spec = LoadSpec(
        url=slow_fleet.router_url,
        model=MODEL_NAME,
        concurrency=6,
        isl=2000,
        osl=12,
        requests=REQUESTS,
        deadline_s=60.0,
    )
    results: list[RequestResult] = []
    async with operator.starts("--json", "watch", "--interval", "0.5") as watch:
        await watch.until(lambda line: line["pools"]["decode"]["windows"]["300"]["covered_s"] > 0, "two scrapes")
        report = await run_load(spec, on_result=results.append)
        last = await watch.until(lambda line: counted(line) >= REQUESTS, "all requests are counted")
        watch.send(signal.SIGINT)
        (await watch.end()).expect(0)
    assert report.counts.ok == REQUESTS, report.failures
    client = last["client"]["300"]
    ttft = [result.ttft_s for result in results if result.ttft_s is not None]
    holds("ttft", client["ttft"], ttft)
    holds("itl", client["itl"], [gap for result in results for gap in result.itls_s])
    holds("e2e", client["e2e"], [result.e2el_s for result in results])
    attained, limit_s = client["attainment"]["ttft"], last["slo"]["ttft_s"]  # without the router, as its note says
    assert sum(took <= limit_s for took in ttft) / REQUESTS <= attained["high"]
    assert sum(took <= limit_s + 10 * ROUTE_S for took in ttft) / REQUESTS >= attained["low"]


def holds(name: str, stated: Json, truth: Sequence[float]) -> None:
    """The mean within 2 %, every quantile inside its interval; and what was seen, for whoever asks with -s.

    Where other work is waiting for the cores, requests wait in the router and in the HTTP servers too, longer than the
    room that is stated for that (80 ms in the mean at a load average of 9 a core): then more is allowed.
    """
    crowded = os.getloadavg()[0] > (os.cpu_count() or 1)
    room_s, rel = (0.25, 0.1) if crowded else (0.0, 0.02)
    mean, off = statistics.mean(truth), statistics.mean(truth) / stated["mean"]["low"] - 1
    print(f"\n{name}: mean {mean * 1e3:.0f} ms, stated {stated['mean']['low'] * 1e3:.0f} ms ({off:+.1%})", end="")
    assert stated["count"]["low"] == len(truth)
    ordered = sorted(truth)
    for key, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
        found, low, high = quantile(ordered, share), stated[key]["low"], stated[key]["high"]
        print(f"; {key} {found * 1e3:.0f} in {low * 1e3:.0f}-{high * 1e3:.0f}", end="")
        assert low - room_s <= found <= high + room_s, (name, key)
    assert mean == pytest.approx(stated["mean"]["low"], rel=rel), name


def counted(line: Json) -> float:
    return float(line["client"]["300"]["e2e"]["count"].get("low", 0.0))
