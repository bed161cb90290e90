"""Members file, state file and the router's own words, as values."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pdctl.model.launch import Registration
from pdctl.model.observed import MemberSeen
from pdctl.routers import registrar
from pdctl.routers.health import member_counts
from pdctl.routers.members import Member, members_document, parse_members, parse_state
from pdctl.routers.metrics import UNKNOWN, RouterLoad, parse_router_load
from tests.unit.deployments import mori_1p1d, standard_2xtp4

PREFILL = Member("a.all.0", 3, Registration("P", "10.1.0.1:20000", "host:10.1.0.1,handshake:1,notify:2", 8, 1, "READ"))
MIXED = Member("b.all.0", 1, Registration("M", "10.1.0.2:20000", "", 1, 4, None))
STATE: dict[str, Any] = {
    "schema": 1,
    "ts": 100.0,
    "epoch": 3,
    "seq": 9,
    "router": {"reachable": True, "why": "ok"},
    "members": [{"name": "a", "generation": 2, "registered": False, "why": "withheld: /health answers 503"}],
    "departed": [{"name": "b", "last_sent_age_s": 1.5}],
    "alerts": ["x"],
}


def test_members_file_is_what_the_registrar_reads() -> None:
    document = members_document(mori_1p1d(), {PREFILL.name: PREFILL}, epoch=4)
    text = json.dumps({**document, "seq": 1})
    assert registrar.parse_members(text)["mode"] == "ttl"
    assert parse_members(text) == {PREFILL.name: PREFILL}
    assert document["router"]["discovery"] == "127.0.0.1:30001"


def test_mixed_members_are_on_the_routers_own_list() -> None:
    document = members_document(standard_2xtp4(), {MIXED.name: MIXED}, epoch=1)
    assert document["mode"] == "admin"
    assert document["router"]["http"] == "127.0.0.1:30000"
    registrar.parse_members(json.dumps({**document, "seq": 1}))


def test_no_members_file_is_no_members() -> None:
    assert parse_members("") == {}


@pytest.mark.parametrize("text", ["{", "[]", '{"members": [{"name": "a"}]}', '{"members": 3}'])
def test_broken_members_file_is_an_error_and_never_empty(text: str) -> None:
    with pytest.raises(ValueError):
        parse_members(text)


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"mode": "never"},
        {"epoch": "7"},
        {"epoch": -1},
        {"router": {}},
        {"members": None},
        {"members": [{"name": "a"}]},
    ],
)
def test_registrar_keeps_a_file_out_that_it_cannot_use(change: dict[str, Any]) -> None:
    document = {**members_document(mori_1p1d(), {PREFILL.name: PREFILL}, epoch=4), "seq": 1, **change}
    with pytest.raises(ValueError):
        registrar.parse_members(json.dumps(document))


def test_registrar_keeps_a_file_out_that_names_a_member_twice() -> None:
    document = {**members_document(mori_1p1d(), {PREFILL.name: PREFILL}, epoch=4), "seq": 1}
    with pytest.raises(ValueError, match="twice"):
        registrar.parse_members(json.dumps({**document, "members": document["members"] * 2}))


def test_state_is_read_with_its_age_by_the_nodes_clock() -> None:
    seen = parse_state(json.dumps(STATE)).seen(now=103.5)
    assert (seen.epoch, seen.seq, seen.age_s, seen.router_reachable, seen.alerts) == (3, 9, 3.5, True, ("x",))
    assert seen.members == {"a": MemberSeen("a", 2, False, "withheld: /health answers 503")}
    assert parse_state(json.dumps(STATE)).departed_s == {"b": 1.5}


@pytest.mark.parametrize("text", ["", "{}", "null", json.dumps({**STATE, "schema": 2}), json.dumps(STATE)[:-9]])
def test_state_that_is_none_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        parse_state(text)


@pytest.mark.parametrize(
    ("status", "text", "counts"),
    [
        (503, "Waiting for discovered workers: 0 prefill, 0 decode", (0, 0)),
        (503, "Waiting for discovered workers: 12 prefill, 0 decode", (12, 0)),
        (200, "OK", None),
        (503, "No prefill servers available", None),
        (500, "", None),
    ],
)
def test_only_the_503_tells_how_many_members_the_router_has(
    status: int, text: str, counts: tuple[int, int] | None
) -> None:
    assert member_counts(status, text) == counts


PREFILL_LEG = """
# TYPE vllm_router_policy_decisions_total counter
vllm_router_policy_decisions_total{policy="round_robin",worker="http://10.0.0.1:1"} 1

# TYPE vllm_router_pd_pending_decode_requests gauge
vllm_router_pd_pending_decode_requests{worker="http://10.0.0.2:1",rank="0"} 1
vllm_router_pd_pending_decode_requests{worker="http://10.0.0.2:1",rank="1"} 2
vllm_router_pd_active_decode_requests{worker="10.0.0.2:1",rank="aggregate"} 0
vllm_router_pd_prefill_occupancy{worker="http://10.0.0.1:1",rank="aggregate"} 1
vllm_router_pd_prefill_requests_total{worker="http://10.0.0.1:1"} 1
"""


@pytest.mark.parametrize(
    ("text", "worker", "load"),
    [
        pytest.param(PREFILL_LEG, "10.0.0.2:1", RouterLoad(3.0, 0.0, 0.0), id="ranks add up"),
        pytest.param(PREFILL_LEG, "http://10.0.0.1:1", RouterLoad(0.0, 0.0, 1.0), id="scheme or none"),
        pytest.param(PREFILL_LEG, "10.0.0.2:11", RouterLoad(0.0, 0.0, 0.0), id="never chosen"),
        pytest.param("", "10.0.0.1:1", RouterLoad(0.0, 0.0, 0.0), id="before the first request"),
        pytest.param("<html>gateway</html>", "10.0.0.1:1", UNKNOWN, id="no metrics"),
        pytest.param("smg_requests_total 4\n", "10.0.0.1:1", UNKNOWN, id="another router's metrics"),
        pytest.param(
            PREFILL_LEG.replace("pd_prefill_occupancy", "pd_prefill_load"),
            "10.0.0.1:1",
            RouterLoad(0.0, 0.0, None),
            id="a gauge that went missing is unknown",
        ),
    ],
)
def test_what_the_router_holds_for_a_worker(text: str, worker: str, load: RouterLoad) -> None:
    assert parse_router_load(text, worker) == load
