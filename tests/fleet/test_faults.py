"""Six nodes with a fault each in one `up`: every cause in one line with a hint, and the sound nodes serve."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pdctl.sim.node_faults import Faults, order_faults
from tests.fleet.command import Done, Json, Operator
from tests.fleet.requests import completion
from tests.fleet.site import Site, failures, launches, of, simulated_nodes, status

pytestmark = pytest.mark.fleet

SOUND = ("n1", "n2")
UNREACHABLE, CHANGED_KEY, UNKNOWN_KEY, TAKEN_PORT, NO_MODEL, EXITS = "n3", "n4", "n5", "n6", "n7", "n8"
OUT_OF_REACH = (UNREACHABLE, CHANGED_KEY, UNKNOWN_KEY)
MODEL = "/proc/self/cwd/model"
"""Commands on a simulated node begin in its home, so this path is another directory on each."""
ALL = (*SOUND, *OUT_OF_REACH, TAKEN_PORT, NO_MODEL, EXITS)


@dataclass(frozen=True, slots=True)
class Faulty:
    """The nodes, an inventory that meets all six faults, and what `up` came to with it."""

    site: Site
    operator: Operator
    listener: socket.socket
    known_hosts: Path
    up: Done

    def unreachable(self, node: str) -> Json:
        return next(event for event in self.up.events("node_unreachable") if event["node"] == node)

    def failure(self, node: str) -> Json:
        return failures(self.up)[f"{node}.main.0"]


def one_prefill_seven_decodes(document: Json, known_hosts: Path) -> None:
    """n1 prefills; the others decode, n8 in a pool of its own whose engines exit at once."""
    document["cluster"] = "faulty"
    document["model"]["path"] = MODEL
    document["ssh"]["known_hosts"] = str(known_hosts)
    document["pools"]["doomed"] = {**document["pools"]["decode"], "env": {"PDCTL_SIM_FAULTS": "exit_at_start"}}
    for name in ALL[1:]:
        document["nodes"][name]["pool"] = "doomed" if name == EXITS else "decode"


def misleading_known_hosts(site: Site, path: Path) -> None:
    """n4's key is another node's, n5's is not there."""
    lines = {}
    for line in site.nodes.known_hosts.read_text().splitlines():
        address, _, key = line.partition(" ")
        lines[address] = key
    ports = {name: f"[127.0.0.1]:{site.node(name).port}" for name in ALL}
    lines[ports[CHANGED_KEY]] = lines[ports["n1"]]
    del lines[ports[UNKNOWN_KEY]]
    path.write_text("".join(f"{address} {key}\n" for address, key in lines.items()))


def make_model(site: Site, node: str) -> None:
    Path(site.node(node).home, "model").mkdir()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with simulated_nodes(tmp_path_factory.mktemp("faults"), "--layout", "1P1D", "--nodes", str(len(ALL))) as site:
        yield site


@pytest.fixture(scope="module")
def faulty(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    directory = tmp_path_factory.mktemp("operator")
    known_hosts = directory / "known_hosts"
    misleading_known_hosts(site, known_hosts)
    operator = site.with_inventory(directory, lambda document: one_prefill_seven_decodes(document, known_hosts))
    for name in ALL:
        if name != NO_MODEL:
            make_model(site, name)
    order_faults(Path(site.node(UNREACHABLE).root), site.node(UNREACHABLE).pid, Faults(refuse=True))
    rendered = json.loads(operator.pdctl_now("render", "--json").out)
    block = next(item["ports"] for item in rendered["launches"] if item["instance"]["name"] == f"{TAKEN_PORT}.main.0")
    with socket.create_server((site.node(TAKEN_PORT).data_address, block["handshake"])) as listener:
        yield Faulty(site, operator, listener, known_hosts, operator.pdctl_now("up", "--json"))


def one_line_with_hint(event: Json) -> str:
    cause: str = event["cause"]
    assert cause and "\n" not in cause
    assert event["hint"] and "\n" not in event["hint"]
    return cause


def test_the_whole_is_partly_done(faulty: Faulty) -> None:
    faulty.up.expect(3)
    assert {event["node"] for event in faulty.up.events("node_unreachable")} == set(OUT_OF_REACH)
    assert set(failures(faulty.up)) == {f"{name}.main.0" for name in (TAKEN_PORT, NO_MODEL, EXITS)}


def test_an_unreachable_host_is_told_with_its_address(faulty: Faulty) -> None:
    event = faulty.unreachable(UNREACHABLE)
    assert "refused" in one_line_with_hint(event)
    assert str(faulty.site.node(UNREACHABLE).port) in event["cause"]


def test_a_changed_host_key_is_told_as_such_and_never_accepted(faulty: Faulty) -> None:
    event = faulty.unreachable(CHANGED_KEY)
    assert "host key" in one_line_with_hint(event) and "CHANGED" in event["cause"]
    assert faulty.known_hosts.read_text().count(faulty.site.node(CHANGED_KEY).host_key.split()[1]) == 0


def test_an_unknown_host_key_leads_to_trust(faulty: Faulty) -> None:
    event = faulty.unreachable(UNKNOWN_KEY)
    assert "host key" in one_line_with_hint(event)
    assert "pdctl trust" in event["hint"]


def test_a_taken_port_is_named_and_nothing_is_started_there(faulty: Faulty) -> None:
    event = faulty.failure(TAKEN_PORT)
    assert str(faulty.listener.getsockname()[1]) in one_line_with_hint(event)
    assert (event["action"], event["exit_code"]) == ("start", 1)
    assert not faulty.site.unit_dir(TAKEN_PORT, f"{TAKEN_PORT}.main.0", "faulty").exists()


def test_a_missing_model_path_is_named(faulty: Faulty) -> None:
    event = faulty.failure(NO_MODEL)
    assert MODEL in one_line_with_hint(event)
    assert "missing" in event["cause"]
    assert event["action"] == "start"


async def test_an_engine_that_exits_at_once_is_told_with_its_status_and_last_lines(faulty: Faulty) -> None:
    event = faulty.failure(EXITS)
    assert "exit status 1" in one_line_with_hint(event)
    assert event["last_lines"]
    seen = of(await status(faulty.operator), f"{EXITS}.main.0")
    assert (seen["state"], seen["last_lines"][-1]) == ("failed", event["last_lines"][-1])


async def test_the_sound_nodes_serve_and_status_says_what_cannot_be_known(faulty: Faulty) -> None:
    done = await faulty.operator.pdctl("status", "--json")
    seen = done.expect(4).document
    assert (seen["serving"], seen["ratio"]) == (True, "1P 1/7D")
    assert set(seen["unreachable"]) == set(OUT_OF_REACH)
    assert {of(seen, f"{name}.main.0")["state"] for name in OUT_OF_REACH} == {"unknown"}
    assert (await completion(seen["router_url"])).ok


async def test_once_the_causes_are_mended_up_brings_the_rest_and_leaves_the_sound_alone(faulty: Faulty) -> None:
    site, operator = faulty.site, faulty.operator
    before = launches(await status(operator))
    faulty.listener.close()
    make_model(site, NO_MODEL)
    document = operator.inventory_document()
    del document["pools"]["doomed"]["env"]
    operator.write_inventory(document)
    halfway = (await operator.pdctl("up", "--json")).expect(4)
    assert failures(halfway) == {}, "all that is missing now is out of reach"
    faulty.known_hosts.write_text(site.nodes.known_hosts.read_text())
    order_faults(Path(site.node(UNREACHABLE).root), site.node(UNREACHABLE).pid, Faults())
    (await operator.pdctl("up", "--json")).expect(0)
    seen = await status(operator)
    assert (seen["serving"], seen["ratio"], seen["unreachable"]) == (True, "1P7D", {})
    after = launches(seen)
    for name in (*(f"{node}.main.0" for node in SOUND), "router", "registrar"):
        assert after[name] == before[name]
