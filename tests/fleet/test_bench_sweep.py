"""Sweeps on simulated nodes: both phases measured apart, matched, gone on with after a kill, and nothing left up."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet.site import Site, simulated_nodes

pytestmark = [pytest.mark.fleet, pytest.mark.slow]

SHAPE = ("--isl", "256", "--osl", "16", "--concurrency", "1,4", "--requests", "12")


@pytest.fixture(scope="module")
def spare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two nodes with nothing on them."""
    with simulated_nodes(tmp_path_factory.mktemp("spare"), "--layout", "1P1D", "--startup-s", "0.2") as site:
        yield site


async def test_phases_measured_apart_are_matched(spare: Site, tmp_path: Path) -> None:
    out = tmp_path / "sweep"
    prefill = await spare.operator.pdctl("bench", "sweep", "prefill", "--tp", "1,2", *SHAPE, "--out", str(out))
    assert "prefill-tp1: 2 of 2 points" in prefill.expect(0).out
    decode = await spare.operator.pdctl("bench", "sweep", "decode", "--tp", "1,2", *SHAPE, "--out", str(out), "--json")
    ended = {event["configuration"]: event for event in decode.expect(0).events("configuration_ended")}
    assert set(ended) == {"decode-tp1", "decode-tp2"}
    assert len(decode.events("batch_began")) == 1, "both fit on one node"
    matched = await spare.operator.pdctl("bench", "match", "--profile", str(out / "profile.yaml"), "--json")
    body = matched.expect(0).document
    assert (body["isl"], body["osl"], len(body["rows"])) == (256, 16, 4)
    assert all((out / row["source"] / "rows.jsonl").exists() for row in body["rows"])
    again = await spare.operator.pdctl("bench", "sweep", "decode", "--tp", "1,2", *SHAPE, "--out", str(out))
    assert "measured earlier: decode-tp2, decode-tp1" in again.expect(0).out


async def test_decode_alone_reads_no_prompts(spare: Site, tmp_path: Path) -> None:
    """A first token of 4096 prompt tokens comes as soon as one of 16: the KV cache is filled, not computed."""
    ttft = []
    for isl in ("16", "4096"):
        shape = ("--isl", isl, "--osl", "8", "--concurrency", "1", "--requests", "6")
        out = tmp_path / isl
        done = await spare.operator.pdctl("bench", "sweep", "decode", *shape, "--out", str(out), "--json")
        (point,) = done.expect(0).events("point_done")
        ttft.append(point["figures"]["ttft"]["median_s"])
    assert ttft[1] < 2 * ttft[0]


async def test_a_sweep_that_was_killed_goes_on_and_leaves_nothing_up(spare: Site, tmp_path: Path) -> None:
    shape = ("--tp", "2", "--isl", "256", "--osl", "64", "--concurrency", "2", "--requests", "16")
    argv = ("bench", "sweep", "decode", *shape, "--out", str(tmp_path / "sweep"), "--json")
    async with spare.operator.starts(*argv) as running:
        await running.until(lambda line: line["event"] == "progress" and line["ended"] >= 2, "some requests")
        running.send(signal.SIGKILL)
    done = (await spare.operator.pdctl(*argv)).expect(0)
    (started,) = done.events("point_started")
    assert started["left"] < started["requests"] == 16
    (lane,) = (tmp_path / "sweep" / "inventories").iterdir()
    seen = await spare.operator.pdctl("-i", str(lane), "status", "--json")
    assert {view["state"] for view in seen.document["instances"]} == {"down"}, seen.show


async def test_ctrl_c_takes_the_batch_down(spare: Site, tmp_path: Path) -> None:
    argv = ("bench", "sweep", "prefill", "--tp", "1", "--isl", "4096", "--concurrency", "1", "--requests", "60")
    async with spare.operator.starts(*argv, "--out", str(tmp_path / "sweep"), "--json") as running:
        await running.until(lambda line: line["event"] == "point_started", "a point")
        os.kill(running.pid, signal.SIGINT)
        done = await running.end()
    done.expect(130)
    (ended,) = done.events("batch_ended")
    assert not ended["up"]


async def test_nodes_on_which_engines_live_are_left_alone(spare: Site, tmp_path: Path) -> None:
    (await spare.operator.pdctl("up", "--json")).expect(0)
    try:
        refused = await spare.operator.pdctl("bench", "sweep", "decode", *SHAPE, "--out", str(tmp_path / "sweep"))
        assert "no node is free: n1: n1.main.0 live there" in refused.expect(1).err
    finally:
        (await spare.operator.pdctl("down", "--json")).expect(0)
