"""What an operator wrote wrong is told all at once, with its places, before anything is touched."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from tests.fleet.command import Done, Json, Operator
from tests.fleet.site import Site

INVENTORIES = sorted((Path(__file__).parents[2] / "inventories").glob("*.yaml"))

TEN_MISTAKES = """\
version: 1
cluster: mistaken
model: {name: deepseek-ai/DeepSeek-R1, path: /models/r1}
slo: {ttft: soon, itl: 50ms, attainment: 1.5}
engine:
  kind: vllm
  version: "0.33"
  supervisor: proces
  python: /opt/vllm/bin/python
  python: /opt/other/bin/python
kv: {connector: moriio, mode: write}
router: {kind: vllm-router, node: n9, supervisor: process, python: /opt/router/bin/python}
pools:
  prefill: {role: prefill, parallel: {tp: 2, dp: 4}, min_instances: 1}
  decode: {role: decode, parallel: {tp: 4}, min_instances: 1, colour: blue}
nodes:
  n1: {host: 10.0.0.1, gpus: 8, pool: prefill}
  n2: {host: 10.0.0.2, gpus: 8, slots: {a: {gpus: 0-3, pool: decode}, b: {gpus: 3-6, pool: decode}}}
  n3: {host: 10.0.0.3, gpus: 8, pool: decoder}
budgets: {ready: 60s, drain: 20s, settle: 1s, shutdown: 20s, stop: 30s}
"""

WHERE = {
    "slo.ttft": (4, "soon"),
    "slo.attainment": (4, "1.5"),
    "engine.supervisor": (8, "proces"),
    "engine.python": (10, "python: /opt/other"),
    "router.node": (12, "n9"),
    "pools.prefill.parallel": (14, "parallel"),
    "pools.decode.colour": (15, "colour"),
    "nodes.n2.slots.b.gpus": (18, "3-6"),
    "nodes.n3.pool": (19, "decoder"),
    "budgets.stop": (20, "30s"),
}
"""Where each of the ten is: line, and what stands there."""


def column(line: int, text: str) -> int:
    return TEN_MISTAKES.splitlines()[line - 1].index(text) + 1


@pytest.mark.parametrize("command", ["validate", "up", "plan"])
def test_ten_mistakes_are_ten_located_errors_in_one_run(
    tmp_path: Path, here: Callable[..., Done], command: str
) -> None:
    path = tmp_path / "inventory.yaml"
    path.write_text(TEN_MISTAKES)
    operator = Operator(tmp_path / "state", path)
    text, machine = here(operator, command), here(operator, "--json", command)
    problems = machine.expect(65).document["problems"]
    found = {problem["where"]: (problem["line"], problem["col"]) for problem in problems}
    assert found == {where: (line, column(line, said)) for where, (line, said) in WHERE.items()}
    assert len(problems) == 10
    for where, (line, said) in WHERE.items():
        assert f"{path}:{line}:{column(line, said)}: {where}: " in text.expect(65).err
    assert text.err.count("^\n") == 10, "a caret under each"
    assert text.out == ""


def test_every_shipped_inventory_is_valid_and_renders_without_a_network(
    tmp_path: Path, here: Callable[..., Done]
) -> None:
    assert len(INVENTORIES) >= 10
    valid = here(Operator(tmp_path), "validate", *map(str, INVENTORIES))
    rendered = [here(Operator(tmp_path, path), "render", "--json") for path in INVENTORIES]
    assert valid.expect(0).out.count(": valid;") == len(INVENTORIES)
    for done in rendered:
        assert done.expect(0).document["launches"], done.argv


def test_up_refuses_a_shape_that_the_router_cannot_serve_and_dials_no_node(
    tmp_path: Path, here: Callable[..., Done]
) -> None:
    document = yaml.safe_load(next(path for path in INVENTORIES if path.stem == "wide-ep16").read_text())
    path = tmp_path / "inventory.yaml"
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in document["nodes"]]
        for node, listener in zip(document["nodes"].values(), listeners, strict=True):
            node |= {"host": "127.0.0.1", "port": listener.getsockname()[1]}
            listener.settimeout(0)
        path.write_text(yaml.safe_dump(document))
        operator = Operator(tmp_path / "state", path)
        here(operator, "validate").expect(0)
        up, plan, machine = here(operator, "up"), here(operator, "plan"), here(operator, "up", "--json")
        for listener in listeners:
            with pytest.raises(BlockingIOError):  # nobody knocked
                listener.accept()
    for done in (up, plan):
        assert "router" in done.expect(1).err and "hint: " in done.err
        assert done.out == ""
    assert machine.expect(1).document["event"] == "error"
    assert not (tmp_path / "state").exists(), "nothing was touched here either"


def two_names(document: Json) -> None:
    """The first node once more, under another name and data address, as a spare."""
    first = dict(document["nodes"]["n1"])
    del first["pool"]
    address = first["data_address"].rpartition(".")[0] + ".250"
    document["nodes"]["n1-again"] = {**first, "host": "localhost", "data_address": address}
    document["ssh"]["accept_new"] = True  # localhost's key is not known under that name


@pytest.mark.parametrize(
    "command",
    [pytest.param("check", marks=pytest.mark.slow), "plan", pytest.param("up", marks=pytest.mark.slow)],
)
async def test_two_names_for_one_machine(site: Site, tmp_path: Path, command: str) -> None:
    operator = site.with_inventory(tmp_path, two_names)
    done = (await operator.pdctl(command)).expect(1)
    assert "n1 and n1-again are one machine" in done.err
    assert "host_id" in done.err
