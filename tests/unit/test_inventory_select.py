"""Selectors: which nodes, slots and instances an expression names."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdctl.errors import UsageError
from pdctl.inventory.load import parse
from pdctl.inventory.place import place
from pdctl.inventory.select import select
from pdctl.model.deployment import Deployment

TEXT = """\
version: 1
cluster: c
model: {name: m}
engine: {kind: simulated, version: "0.33", supervisor: process}
kv: {connector: moriio}
router: {node: solo, supervisor: process}
pools:
  prefill: {role: prefill, parallel: {tp: 2}}
  decode: {role: decode, parallel: {tp: 4}}
  wide: {role: decode, parallel: {dp: 4}}
nodes:
  solo: {host: h0, gpus: 8, slots: {a: {gpus: 0-3, pool: prefill}, b: {gpus: 4-7, pool: decode}}}
  mi300x-01: {host: h1, gpus: 4, pool: decode}
  mi300x-02: {host: h2, gpus: 4, pool: decode}
  mi300x-10: {host: h3, gpus: 4}
  w1: {host: h4, gpus: 2, pool: wide, group: g}
  w2: {host: h5, gpus: 2, pool: wide, group: g}
"""


@pytest.fixture(scope="module")
def deployment() -> Deployment:
    return place(parse(TEXT.encode(), Path("/i.yaml")), login="op")


ALL = "solo.a.0 solo.a.1 solo.b.0 mi300x-01.main.0 mi300x-02.main.0 w1.main.0"


@pytest.mark.parametrize(
    ("expressions", "instances", "slots", "nodes"),
    [
        ([], ALL, "solo.a solo.b mi300x-01.main mi300x-02.main mi300x-10.main w1.main w2.main", None),
        (["solo"], "solo.a.0 solo.a.1 solo.b.0", "solo.a solo.b", "solo"),
        (["solo.a"], "solo.a.0 solo.a.1", "solo.a", "solo"),
        (["solo.a.1"], "solo.a.1", "", "solo"),
        (["@decode"], "solo.b.0 mi300x-01.main.0 mi300x-02.main.0", "solo.b mi300x-01.main mi300x-02.main", None),
        (["mi300x-[01-02]"], "mi300x-01.main.0 mi300x-02.main.0", "mi300x-01.main mi300x-02.main", None),
        (["mi300x-[01,10]"], "mi300x-01.main.0", "mi300x-01.main mi300x-10.main", "mi300x-01 mi300x-10"),
        (["solo.[a,b].0"], "solo.a.0 solo.b.0", "solo.b", "solo"),
        (["mi300x-0?"], "mi300x-01.main.0 mi300x-02.main.0", "mi300x-01.main mi300x-02.main", None),
        (["*", "!@decode"], "solo.a.0 solo.a.1 w1.main.0", "solo.a mi300x-10.main w1.main w2.main", None),
        (["!solo, !w1"], "mi300x-01.main.0 mi300x-02.main.0", "mi300x-01.main mi300x-02.main mi300x-10.main", None),
        (["w2"], "w1.main.0", "w1.main w2.main", "w1 w2"),
        (["@*,!solo.a"], "solo.b.0 mi300x-01.main.0 mi300x-02.main.0 w1.main.0", None, None),
        (["mi300x-10"], "", "mi300x-10.main", "mi300x-10"),
    ],
)
def test_an_expression_names(
    deployment: Deployment, expressions: list[str], instances: str, slots: str | None, nodes: str | None
) -> None:
    chosen = select(deployment, expressions)
    assert " ".join(instance.name for instance in chosen.instances) == instances
    if slots is not None:
        assert " ".join(slot.id for slot in chosen.slots) == slots
    if nodes is not None:
        assert " ".join(node.name for node in chosen.nodes) == nodes


@pytest.mark.parametrize(
    ("expression", "message", "hint"),
    [
        ("soli", "soli is not in the inventory", "did you mean solo"),
        ("@prefil", "@prefil is not in the inventory", "did you mean @prefill?"),
        ("mi300x-[01-03]", "mi300x-03 (from mi300x-[01-03]) is not in the inventory", "mi300x-01"),
        ("x*", "x* matches nothing", "known: @prefill, @decode"),
        ("!nope", "nope is not in the inventory", "known: @prefill"),
        ("a,,b", "selector 'a,,b' has an empty term", "@pool"),
        ("mi300x-[01", "selector 'mi300x-[01': brackets do not match", "mi300x-[01-08]"),
        ("n[9-1]", "selector 'n[9-1]': [9-1] is not a range", "[01-08]"),
        ("n[0-999999999]", "selector 'n[0-999999999]': [0-999999999] is not a range", ""),
        ("n[0-9999][0-9999]", "selector 'n[0-9999][0-9999]' stands for more than 100000 names", ""),
    ],
)
def test_an_unknown_name_is_a_usage_error(deployment: Deployment, expression: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        select(deployment, [expression])
    assert caught.value.message == message
    assert hint in caught.value.hint
