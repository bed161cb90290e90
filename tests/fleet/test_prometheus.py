"""A real Prometheus scrapes the simulated fleet by the exported files; `watch` reads from it what it sees itself."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import yaml

from tests.fleet.command import Json
from tests.fleet.requests import load_until
from tests.fleet.site import Site
from tests.waiting import wait_until

pytestmark = pytest.mark.fleet

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="there is no prometheus on this machine"
)


async def exported(site: Site, directory: Path) -> Path:
    (await site.operator.pdctl("export", "prometheus", str(directory))).expect(0)
    return directory


async def test_the_export_names_every_engine_with_its_pool(serving: Site, tmp_path: Path) -> None:
    directory = await exported(serving, tmp_path / "prom")
    groups = json.loads((directory / "targets.json").read_text())
    assert {group["labels"]["pdctl_instance"]: group["labels"]["pdctl_pool"] for group in groups} == {
        "n1.main.0": "prefill",
        "n2.main.0": "prefill",
        "n3.main.0": "decode",
        "n4.main.0": "decode",
        "n5.main.0": "decode",
    }
    panels = json.loads((directory / "dashboard.json").read_text())["panels"]
    recorded = {rule["record"] for rule in yaml.safe_load((directory / "rules.yml").read_text())["groups"][0]["rules"]}
    assert all(panel["targets"][0]["expr"].partition("{")[0] in recorded for panel in panels)


@asynccontextmanager
async def prometheus(directory: Path, data: Path) -> AsyncIterator[str]:
    """A Prometheus on loopback with the exported configuration, and its rules."""
    config = yaml.safe_load((directory / "prometheus.yml").read_text())
    config["global"] = {"evaluation_interval": "1s"}
    config["rule_files"] = [str(directory / "rules.yml"), str(directory / "alerts.yml")]
    (directory / "whole.yml").write_text(yaml.safe_dump(config))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        "prometheus",
        f"--config.file={directory / 'whole.yml'}",
        f"--storage.tsdb.path={data}",
        f"--web.listen-address=127.0.0.1:{port}",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"

    async def ready() -> bool:
        async with httpx.AsyncClient(timeout=2.0, trust_env=False) as client:
            try:
                return (await client.get(f"{url}/-/ready")).status_code == 200
            except httpx.HTTPError:
                return False

    try:
        await wait_until(ready, 30.0, what="Prometheus is ready", poll_s=0.2)
        yield url
    finally:
        process.kill()
        await process.wait()


@pytest.mark.slow
@needs_prometheus
async def test_rules_are_valid_and_both_sources_agree(serving: Site, tmp_path: Path) -> None:
    """The same load, seen by both at once: rates over the same ten seconds, apart by the time of two scrapes."""
    directory = await exported(serving, tmp_path / "prom")
    assert promtool("check", "rules", str(directory / "rules.yml"), str(directory / "alerts.yml")) == ""
    ended = False
    async with prometheus(directory, tmp_path / "data") as url:
        there = serving.with_inventory(tmp_path, lambda document: document.update(_telemetry(url)))
        load = asyncio.create_task(load_until(serving.router_url, lambda: ended))
        async with serving.operator.starts("--json", "watch") as own, there.starts("--json", "watch") as theirs:
            for watch in (own, theirs):
                await watch.until(lambda line: decode(line)["windows"]["10"]["covered_s"] >= 9.0, "a whole window")
            ended = True
            await load
            lasts = [watch.seen[-1] for watch in (own, theirs)]
            for watch in (own, theirs):
                watch.send(signal.SIGINT)
                (await watch.end()).expect(0)
    assert [line["source"] for line in lasts] == ["live", "prometheus"]
    rates = [decode(line)["windows"]["10"]["flow"]["tokens_out"]["low"] for line in lasts]
    assert rates[1] == pytest.approx(rates[0], rel=0.3)
    means = [decode(line)["windows"]["10"]["latencies"]["itl"]["mean"]["low"] for line in lasts]
    assert means[1] == pytest.approx(means[0], rel=0.3)
    assert [decode(line)["counted"] for line in lasts] == [3, 3]


@needs_prometheus
async def test_a_prometheus_that_is_gone_leaves_unknown_figures_and_the_reason(serving: Site, tmp_path: Path) -> None:
    there = serving.with_inventory(tmp_path, lambda document: document.update(_telemetry("http://127.0.0.1:9")))
    done = (await there.pdctl("--json", "watch", "--ticks", "3")).expect(0)
    engine = done.lines[-1]["instances"]["n3.main.0"]
    assert engine["vital"] == "unknown"
    assert "127.0.0.1:9" in engine["why"]
    assert "reason" in engine["load"]["running"]


def promtool(*argv: str) -> str:
    """What it complains of; "" where nothing."""
    done = subprocess.run(["promtool", *argv], capture_output=True, text=True, timeout=30.0)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def decode(line: Json) -> Json:
    pool: Json = line["pools"]["decode"]
    return pool


def _telemetry(url: str) -> Json:
    return {"telemetry": {"source": "prometheus", "url": url}}
