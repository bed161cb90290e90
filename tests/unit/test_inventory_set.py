"""`set` changes the bytes of one scalar, whatever it is, and what was there can be put back to the byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdctl.errors import PlanRefused
from pdctl.inventory.document import Document
from pdctl.inventory.edit import Scalar, loc_of, put_back, set_scalar, written_at

TEXT = """\
# the fleet
engine: {kind: vllm, version: "0.33", image: rocm/vllm-dev:nightly}  # pinned
kv:
  mode: write   # or read
pools:
  decode: {args: {max-num-seqs: 256, enforce-eager: false, compilation-config.level: 3}, env: &e {A: 'x'}}
nodes:
  n1: {env: *e}
"""


@pytest.mark.parametrize(
    ("path", "value", "old", "new"),
    [
        ("engine.image", "rocm/vllm:0.34", "rocm/vllm-dev:nightly", "rocm/vllm:0.34"),
        ("engine.image", "a, b", "rocm/vllm-dev:nightly", '"a, b"'),
        ("engine.image", "x}", "rocm/vllm-dev:nightly", '"x}"'),
        ("engine.version", "0.34", '"0.33"', '"0.34"'),
        ("engine.version", 'a"b', '"0.33"', '"a\\"b"'),
        ("kv.mode", "read", "write   #", "read   #"),
        ("kv.mode", "no", "write   #", '"no"   #'),
        ("pools.decode.args.max-num-seqs", 64, "256", "64"),
        ("pools.decode.args.max-num-seqs", None, "256", "null"),
        ("pools.decode.args.enforce-eager", True, "false", "true"),
        ("pools.decode.args.compilation-config.level", 2, ": 3}", ": 2}"),
    ],
)
def test_one_scalar_is_replaced_and_put_back_to_the_byte(path: str, value: Scalar, old: str, new: str) -> None:
    assert TEXT.count(old) == 1
    loc = loc_of(TEXT, path)
    changed = set_scalar(TEXT, loc, value)
    assert changed == TEXT.replace(old, new)
    assert put_back(changed, loc, written_at(TEXT, loc)) == TEXT


@pytest.mark.parametrize(
    ("path", "reason", "hint"),
    [
        ("engine.imagr", "engine.imagr is not written in the inventory", "did you mean `image`?"),
        ("engine.image.tag", "engine.image.tag is not written in the inventory", "write it there once"),
        ("engine", "engine is not one word", "by hand"),
        ("pools.decode.env.A", "pools.decode.env.A is shared: pools.decode.env is an alias or merged", "by hand"),
        ("nodes.n1.env.A", "nodes.n1.env.A is shared: nodes.n1.env is an alias or merged", "by hand"),
    ],
)
def test_what_is_not_one_plain_scalar_is_refused(path: str, reason: str, hint: str) -> None:
    with pytest.raises(PlanRefused) as caught:
        set_scalar(TEXT, loc_of(TEXT, path), "x")
    assert caught.value.message == reason
    assert hint in caught.value.hint


@given(st.text(max_size=12) | st.integers() | st.booleans())
def test_any_value_is_read_as_it_was_set_or_refused(value: str | int | bool) -> None:
    loc = loc_of(TEXT, "engine.image")
    try:
        changed = set_scalar(TEXT, loc, value)
    except PlanRefused:
        return
    data = Document(changed, "i").data
    assert isinstance(data, dict)
    assert data["engine"]["image"] == value
    assert put_back(changed, loc, written_at(TEXT, loc)) == TEXT
