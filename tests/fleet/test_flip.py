"""The KV transfer mode is changed while clients stream: what is in flight ends whole, in both directions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fleet.command import Json, Operator
from tests.fleet.requests import load_until
from tests.fleet.site import Site, status

pytestmark = [pytest.mark.fleet, pytest.mark.slow]


def reads(document: Json) -> None:
    document["kv"]["mode"] = "read"


@pytest.fixture
async def operator(serving: Site, tmp_path: Path) -> AsyncIterator[Operator]:
    """With an inventory that says READ, where the cluster serves in WRITE; it does so again afterwards."""
    yield serving.with_inventory(tmp_path, reads)
    (await serving.operator.pdctl("up", "--force", "--json")).expect(0)


async def test_a_flip_cuts_and_aborts_no_request_and_needs_to_be_insisted_on(serving: Site, operator: Operator) -> None:
    refused = (await operator.pdctl("up")).expect(1)
    assert "pool decode would have 0 of at least 1" in refused.err and "--force" in refused.err
    flipped = asyncio.Event()
    load = asyncio.create_task(load_until(serving.router_url, flipped.is_set))
    try:
        done = await operator.pdctl("up", "--force", "--json")
    finally:
        flipped.set()
        report = await load
    done.expect(0)
    counts = report.counts
    assert (counts.aborted, counts.cut, counts.error) == (0, 0, 0), report.failures
    assert counts.ok > 10
    drains = [event["detail"]["cut"] for event in done.events("step_done") if event["action"] == "drain"]
    assert drains == [0] * 5
    seen = await status(operator)
    assert (seen["serving"], seen["ratio"]) == (True, "2P3D")
