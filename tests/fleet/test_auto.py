"""`demo --auto` on a fleet: the traffic turns from long prompts to long answers, and the pools follow it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fleet.command import Operator

pytestmark = [pytest.mark.fleet, pytest.mark.slow]

DEADLINE_S = 280.0
SAW = 0.25
"""How far what the policy saw may be from what the clients sent, by chance: some 140 requests of the first kind."""


@pytest.mark.timeout(300)
async def test_traffic_turns_and_the_fleet_goes_from_2p3d_to_1p4d_by_itself_without_losing_a_request(
    tmp_path: Path,
) -> None:
    operator = Operator(tmp_path)
    done = await operator.pdctl("demo", "--headless", "--auto", "--json", deadline_s=DEADLINE_S)
    summary = done.expect(0).document
    assert (summary["layout"], summary["ended_as"], summary["moves"]) == ("2P3D", "1P4D", 1)
    assert (summary["failed"], summary["moves_failed"], summary["moves_cut"], summary["leftovers"]) == (0, 0, 0, 0)
    assert summary["ok"] == summary["requests"] > 150
    [why] = summary["why"]
    assert "decode of 2P3D is at" in why and "1P4D gains" in why

    turns = [place for place, line in enumerate(done.lines) if line["event"] == "traffic_turned"]
    before = [line for line in done.lines[: turns[1]] if line["event"] == "ratio_decided" and "isl" in line["numbers"]]
    assert {line["action"] for line in before} == {"hold"}
    seen = before[-1]["numbers"]
    offered = done.events("traffic_turned")[0]
    assert seen["isl"] == pytest.approx(offered["isl"], rel=0.02)
    assert seen["osl"] == pytest.approx(offered["osl"], rel=0.02)
    assert seen["rate_per_s"] * 20 == pytest.approx(offered["rate_per_s"], rel=SAW)
    decided = next(line["numbers"] for line in done.events("ratio_decided") if line["action"] == "move")
    assert decided["osl"] > 4 * offered["osl"], "it moved because of the outputs"
