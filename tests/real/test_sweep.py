"""Phases measured apart on real vLLM: prefill by requests for one token, decode with DecodeBenchConnector."""

from __future__ import annotations

from pathlib import Path

from tests.fleet.command import Json
from tests.real.stack import VOCABULARY, Stack

SHAPE = (
    "--isl",
    "900",
    "--osl",
    "16",
    "--concurrency",
    "1,2",
    "--requests",
    "8",
    "--on",
    "n2",
    "--vocab",
    str(VOCABULARY),
)


async def test_phases_measured_apart_are_matched(nodes: Stack, tmp_path: Path) -> None:
    out = str(tmp_path / "sweep")
    await nodes.timed("down")
    first_token_s: dict[str, float] = {}
    for phase in ("prefill", "decode"):
        done = await nodes.timed("bench", "sweep", phase, *SHAPE, "--out", out)
        points: list[Json] = done.events("point_done")
        assert [point["figures"]["counts"]["ok"] for point in points] == [8, 8], done.show
        first_token_s[phase] = points[0]["figures"]["ttft"]["median_s"]
    assert first_token_s["decode"] < first_token_s["prefill"], "the prompt was not read"
    matched = (await nodes.site.operator.pdctl("bench", "match", "--profile", f"{out}/profile.yaml", "--json")).document
    assert [row["candidate"].partition("-")[2] for row in matched["rows"]] == ["tp1-1d-tp1"] * 2
