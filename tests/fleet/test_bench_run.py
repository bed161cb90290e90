"""`pdctl bench run` against the cluster of an inventory, by its router."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdctl.bench.runs.read import read_run
from tests.fleet.site import Site

pytestmark = pytest.mark.fleet


async def test_the_inventory_says_what_is_measured_and_by_which_targets(serving: Site, tmp_path: Path) -> None:
    out = tmp_path / "run"
    load = ("--scenario", "64/8", "--concurrency", "4", "--requests", "24", "--warm-up", "1")
    done = (await serving.operator.pdctl("bench", "run", *load, "--out", str(out), "--json")).expect(0)
    [point] = done.events("point_done")
    assert point["point"] == "demo/64-8/c4/s0"
    assert point["figures"]["counts"]["ok"] == 24
    assert (point["figures"]["goodput"]["ttft_s"], point["figures"]["goodput"]["itl_s"]) == (1.0, 0.05)
    run = read_run(out)
    target = run.target(run.points[0])
    assert target.url == serving.router_url
    assert target.layout == "prefill 2x tp8 dp1, decode 3x tp8 dp1; moriio write"
    assert target.gpus == 40
    assert run.meta.inventory_digest
    again = (await serving.operator.pdctl("bench", "run", "--resume", str(out))).expect(0)
    assert "measured before: 24 ok" in again.out
