"""`pdctl watch` on the simulated fleet: true figures, nothing frozen, alerts delivered, a recording that replays."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from tests.fleet.command import Json
from tests.fleet.requests import load_until
from tests.fleet.site import Site, of, status
from tests.waiting import wait_until

pytestmark = pytest.mark.fleet


def low(figure: Json) -> float:
    return float(figure["low"])


@pytest.mark.slow
async def test_figures_are_those_of_the_load_and_a_recording_gives_them_back(serving: Site, tmp_path: Path) -> None:
    """What the pools say is set against what the load generator counted over the same time."""
    file = tmp_path / "r.db"
    ended = False
    async with serving.operator.starts("--json", "watch", "--interval", "0.5", "--record", str(file)) as watch:
        await watch.until(lambda line: low_or(line, "decode", 0.0) == 0.0, "figures of an idle pool")
        load = asyncio.create_task(load_until(serving.router_url, lambda: ended))
        busy = await watch.until(
            lambda line: covered(line, "decode") >= 9.0 and low_or(line, "decode", 0.0) > 0, "load"
        )
        await watch.until(lambda line: line["seq"] >= busy["seq"] + 22, "a whole window under load")
        ended = True
        report = await load
        watch.send(signal.SIGINT)
        shown = (await watch.end()).expect(0).lines
    assert report.counts.failed == 0
    last = shown[-1]
    rate = low(last["pools"]["decode"]["windows"]["10"]["flow"]["tokens_out"])
    assert rate == pytest.approx(report.tokens_per_s, rel=0.35), "tokens per second of engines and of the client"
    decode = last["pools"]["decode"]
    assert (decode["members"], decode["counted"], decode["left_out"]) == (3, 3, [])
    itl = decode["windows"]["10"]["latencies"]["itl"]
    assert low(itl["p50"]) <= itl["p99"]["high"]
    replayed = (await serving.operator.pdctl("--json", "replay", str(file), "--speed", "0")).expect(0)
    assert [line["seq"] for line in replayed.lines] == [line["seq"] for line in shown]
    assert {line["source"] for line in replayed.lines} == {"recording"}


async def test_a_killed_engine_turns_stale_shows_no_frozen_number_and_raises_an_alert(
    serving: Site, tmp_path: Path
) -> None:
    seen, told = await status(serving.operator), tmp_path / "told"
    interval_s = 1.0
    async with serving.operator.starts(
        "--json", "watch", "--interval", str(interval_s), "--on-alert", f"cat >> {told}; echo >> {told}"
    ) as watch:
        await watch.until(lambda line: covered(line, "decode") > 0, "two scrapes of everybody")
        os.kill(of(seen, "n4.main.0")["pid"], signal.SIGKILL)
        gone = await watch.until(lambda line: line["instances"]["n4.main.0"]["vital"] != "up", "the engine is not up")
        dead = gone["instances"]["n4.main.0"]
        assert dead["vital"] in ("stale", "down")
        assert dead["scrape_age_s"] <= 2 * interval_s + 2.0, "two ticks, and the ticks' own length"
        assert "reason" in dead["load"]["running"], "unknown, and why"
        assert "reason" in dead["windows"]["10"]["flow"]["tokens_out"]
        assert gone["pools"]["decode"]["left_out"] == ["n4.main.0"]
        down = await watch.until(lambda line: line["instances"]["n4.main.0"]["vital"] == "down", "its unit says so")
        assert "SIGKILL" in down["instances"]["n4.main.0"]["why"]
        await watch.until(lambda line: any(alert["id"] == "down:n4.main.0" for alert in line["alerts"]), "an alert")
        await wait_until(
            lambda: told.exists() and "down:n4.main.0" in told.read_text(), 20.0, what="the alert was delivered"
        )
        watch.send(signal.SIGINT)
        (await watch.end()).expect(0)
    delivered = [json.loads(line) for line in told.read_text().splitlines() if line]
    (alert,) = [alert for alert in delivered if alert["id"] == "down:n4.main.0"]
    assert (alert["state"], alert["level"], alert["cluster"]) == ("raised", "page", "demo")
    assert "pdctl up" in alert["hint"]


def covered(line: Json, pool: str) -> float:
    return float(line["pools"][pool]["windows"]["10"]["covered_s"])


def low_or(line: Json, pool: str, default: float) -> float:
    rate = line["pools"][pool]["windows"]["10"]["flow"]["tokens_out"]
    return float(rate.get("low", default - 1.0))
