"""Sixteen pairs of simulated engines: no false alarm over many rounds, and the one broken pair found in one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet.site import Site, simulated_nodes
from tests.fleet.test_canary import endpoints, fault_of_pair, pairs

pytestmark = [pytest.mark.fleet, pytest.mark.slow]

ROUNDS = int(os.environ.get("PDCTL_CANARY_ROUNDS", "20"))
"""A hundred rounds take some minutes on two cores."""


@pytest.fixture
def sixteen(tmp_path: Path) -> Iterator[Site]:
    """Four prefill and four decode instances."""
    with simulated_nodes(tmp_path, "--nodes", "8", "--layout", "4P4D") as site:
        yield site


@pytest.mark.timeout(900)
async def test_no_false_alarm_in_many_rounds_and_the_broken_pair_in_one(sixteen: Site) -> None:
    (await sixteen.operator.pdctl("up", "--json")).expect(0)
    try:
        found = await pairs(sixteen, code=0, rounds=ROUNDS)
        assert len(found) == 16
        assert {(pair["state"], pair["tried"], pair["failures"]) for pair in found.values()} == {("ok", ROUNDS, 0)}
        at = await endpoints(sixteen)
        prefill, decode = sorted(found)[6]
        with fault_of_pair("broken_pair", at[decode.partition(".")[0]], at[prefill.partition(".")[0]]):
            planted = await pairs(sixteen, code=1, rounds=1)
        assert [names for names, pair in planted.items() if pair["state"] != "ok"] == [(prefill, decode)]
    finally:
        (await sixteen.operator.pdctl("down", "--now", "--json")).expect(0)
