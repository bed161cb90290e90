"""The real `vllm bench serve` as a driver: what we tell it, and what we read of what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdctl.bench.drivers.means import Means
from pdctl.bench.drivers.vllm_serve import VllmServe
from pdctl.bench.point import Point
from pdctl.model.load import PromptKind
from pdctl.perf.workload import Asked, Workload
from pdctl.ssh.local import LocalShell
from tests.bench_tools import target
from tests.real.stack import TINY_MODEL, VENV
from tests.wire.sim_engines import engine

MEANS = Means(LocalShell(), (str(VENV / "bin/vllm"),), str(TINY_MODEL))


async def test_it_plays_our_requests_as_they_are(tmp_path: Path) -> None:
    asked = tuple(Asked(0.1 * i, 48 + 16 * (i % 3), 8 + i, prefix_id=i % 2, prefix_len=16) for i in range(12))
    point = Point("d", "s", "c2", 0, Workload(asked, concurrency=2))
    async with engine(tmp_path) as server:
        tiny = target(url=f"http://127.0.0.1:{server.port}", model="tiny")
        measured = await VllmServe(MEANS).run(point, tiny, on_row=lambda row: None, stop=lambda: False)
    rows = measured.rows
    assert [row.ok for row in rows] == [True] * 12, rows
    assert [row.prompt_tokens for row in rows] == [item.isl for item in asked]
    assert [row.tokens for row in rows] == [item.osl for item in asked]
    assert [len(row.gaps_s) for row in rows] == [item.osl - 1 for item in asked]
    assert rows[-1].sent_s == pytest.approx(1.1, abs=1.0), "sent when it was due, or when one of two places was free"
    assert measured.raw["result"]["completed"] == 12


async def test_words_are_drawn_by_the_tool(tmp_path: Path) -> None:
    point = Point("d", "s", "r20", 0, Workload(tuple(Asked(0.05 * i, 32, 8) for i in range(8))))
    async with engine(tmp_path) as server:
        asked = target(url=f"http://127.0.0.1:{server.port}", model="tiny", prompt=PromptKind.WORDS)
        measured = await VllmServe(MEANS).run(point, asked, on_row=lambda row: None, stop=lambda: False)
    assert [(row.ok, row.tokens) for row in measured.rows] == [(True, 8)] * 8
    assert "random" in measured.raw["argv"]
