"""The router goes to another node while clients stream: both serve until the old one has no clients any more."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fleet.command import Json, Operator
from tests.fleet.requests import completion, load_until
from tests.fleet.site import Site, status

pytestmark = [pytest.mark.fleet, pytest.mark.slow]


def free_port() -> int:
    """Below the ephemeral range, with room for the router's others."""
    for port in range(26_000, 28_000, 10):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")


@pytest.fixture
async def operator(serving: Site, tmp_path: Path) -> AsyncIterator[Operator]:
    """Their inventory has the router on n2; on simulated nodes, which share one address space, on another port too."""

    def edit(document: Json) -> None:
        document["lease_node"] = document["router"]["node"]
        document["router"] |= {"node": "n2", "port": free_port()}

    yield serving.with_inventory(tmp_path, edit)
    (await serving.operator.pdctl("down", "--json")).expect(0)
    (await serving.operator.pdctl("up", "--adopt", "--json")).expect(0)


async def test_no_request_is_lost_while_clients_go_from_one_router_to_the_other(
    serving: Site, operator: Operator
) -> None:
    gone = asyncio.Event()
    load = asyncio.create_task(load_until(serving.router_url, gone.is_set))
    try:
        async with operator.starts("up", "--json") as moving:
            await moving.until(
                lambda line: line["event"] == "step_started" and line["step"] == "quiet_router:router@n1", "the wait"
            )
            url = (await status(operator))["router_url"]
            assert (await completion(url)).ok, "the new one serves"
            assert (await completion(serving.router_url)).ok, "and so does the old one"
            gone.set()
            report = await load
            done = (await moving.end()).expect(0)
    finally:
        gone.set()
        report = await load
    assert report.counts.failed == 0, report.failures
    assert report.counts.ok > 10
    (quiet,) = [event for event in done.events("step_done") if event["step"] == "quiet_router:router@n1"]
    assert quiet["detail"]["quiet"]
    assert (await completion(url)).ok
    assert (await completion(serving.router_url)).status == 0, "nobody listens there any more"
    (await operator.pdctl("plan", "--detailed-exitcode")).expect(0)
