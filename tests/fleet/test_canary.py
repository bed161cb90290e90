"""`pdctl canary` on the simulated fleet: the pair that is broken, and the pair whose text is wrong."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.fleet.command import Json
from tests.fleet.site import Site, status

pytestmark = pytest.mark.fleet


async def endpoints(site: Site) -> dict[str, str]:
    seen = await status(site.operator)
    return {view["node"]: view["endpoint"] for view in seen["instances"]}


def post(url: str, body: Json, method: str = "POST") -> None:
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"content-type": "application/json"}, method=method
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


@contextmanager
def fault_of_pair(name: str, decode: str, prefill: str) -> Iterator[None]:
    """KV from the prefill at that endpoint is lost or wrong at the decode at the other."""
    post(f"http://{decode}/sim/faults", {"fault": name, "peer": prefill.rpartition(":")[0]})
    try:
        yield
    finally:
        post(f"http://{decode}/sim/faults", {"fault": name, "active": False})


async def pairs(site: Site, *, code: int, rounds: int) -> dict[tuple[str, str], Json]:
    done = (await site.operator.pdctl("--json", "canary", "--rounds", str(rounds))).expect(code)
    return {(pair["prefill"], pair["decode"]): pair for pair in json.loads(done.out)["pairs"]}


async def test_every_pair_of_a_healthy_fleet_hands_over(serving: Site) -> None:
    found = await pairs(serving, code=0, rounds=1)
    assert len(found) == 6
    assert {pair["state"] for pair in found.values()} == {"ok"}
    assert all(pair["handoff_s"]["basis"] == "canary" for pair in found.values())


async def test_a_broken_pair_is_named_and_no_other(serving: Site) -> None:
    at = await endpoints(serving)
    with fault_of_pair("broken_pair", at["n4"], at["n1"]):
        found = await pairs(serving, code=1, rounds=2)
    odd = {names: pair for names, pair in found.items() if pair["state"] != "ok"}
    assert list(odd) == [("n1.main.0", "n4.main.0")]
    assert odd["n1.main.0", "n4.main.0"]["state"] == "broken"


async def test_a_pair_that_answers_200_with_wrong_text_is_found_by_the_majority(serving: Site) -> None:
    at = await endpoints(serving)
    with fault_of_pair("corrupt_pair", at["n5"], at["n2"]):
        found = await pairs(serving, code=1, rounds=1)
    odd = {names: pair for names, pair in found.items() if pair["state"] != "ok"}
    assert list(odd) == [("n2.main.0", "n5.main.0")]
    assert "not that of 5 of 6 pairs" in odd["n2.main.0", "n5.main.0"]["why"]
