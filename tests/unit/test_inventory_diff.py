"""An edited inventory, in words: each edit once, with what it was and is."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdctl.inventory.load import parse
from pdctl.inventory.place import place
from pdctl.model.deployment import Deployment
from pdctl.plan.inventory_diff import Edit, EditKind, inventory_diff

INVENTORY = """\
version: 1
cluster: c
model: {name: demo/model, path: /models/demo}
slo: {ttft: 1s, itl: 50ms, attainment: 0.95}
ssh: {user: ops}
secrets: {HF_TOKEN: {env: HF_TOKEN}}
engine: {kind: vllm, version: "0.32", supervisor: docker, image: "rocm/vllm:1", args: {max-model-len: 8192}}
kv: {connector: moriio, mode: write}
router: {kind: vllm-router, node: n1, port: 30000, supervisor: process, python: /opt/router/bin/python}
pools:
  prefill: {role: prefill, parallel: {tp: 8}, min_instances: 1}
  decode: {role: decode, parallel: {tp: 8}, min_instances: 1, args: {max-num-seqs: 64}}
nodes:
  n1: {host: 10.0.0.1, data_address: 10.1.0.1, gpu: mi300x, gpus: 8, nics: 8, pool: prefill}
  n2: {host: 10.0.0.2, data_address: 10.1.0.2, gpu: mi300x, gpus: 8, nics: 8, pool: prefill}
  n3: {host: 10.0.0.3, data_address: 10.1.0.3, gpu: mi300x, gpus: 8, nics: 8, pool: decode}
  n4: {host: 10.0.0.4, data_address: 10.1.0.4, gpu: mi300x, gpus: 8, nics: 8, slots: {a: {gpus: 0-7, pool: decode}}}
"""


def deployment(*edits: tuple[str, str]) -> Deployment:
    text = INVENTORY
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return place(parse(text.encode(), Path("/inventories/c.yaml")))


N5 = "  n5: {host: 10.0.0.5, data_address: 10.1.0.5, gpu: mi300x, gpus: 8, nics: 8, pool: decode}\n"
N2 = next(line for line in INVENTORY.splitlines(keepends=True) if line.startswith("  n2:"))
N3 = next(line for line in INVENTORY.splitlines(keepends=True) if line.startswith("  n3:"))


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ((N2, N2.replace("pool: prefill", "pool: decode")), ["n2: prefill -> decode"]),
        ((N2, N2.replace(", pool: prefill", "")), ["n2: prefill -> spare"]),
        (("{a: {gpus: 0-7, pool: decode}}", "{a: {gpus: 0-7, pool: prefill}}"), ["n4.a: decode -> prefill"]),
        ((N3, N3 + N5), ["node n5 added: decode"]),
        ((N3, ""), ["node n3 removed: decode"]),
        ((N3, N3.replace("10.0.0.3", "10.0.0.33")), ["node n3.host: 10.0.0.3 -> 10.0.0.33"]),
        (('version: "0.32"', 'version: "0.33"'), ["engine.version: 0.32 -> 0.33"]),
        (("rocm/vllm:1", "rocm/vllm:2"), ["engine.image: rocm/vllm:1 -> rocm/vllm:2"]),
        (("max-model-len: 8192", "max-model-len: 16384"), ["engine.args.max-model-len: 8192 -> 16384"]),
        (("max-num-seqs: 64", "max-num-seqs: 128"), ["pool decode.args.max-num-seqs: 64 -> 128"]),
        ((", args: {max-num-seqs: 64}", ""), ["pool decode.args.max-num-seqs: 64 -> (none)"]),
        (("mode: write", "mode: read"), ["kv.mode: write -> read"]),
        (("port: 30000", "port: 31000"), ["router.port: 30000 -> 31000"]),
        (("node: n1, port", "node: n2, port"), ["router.node: n1 -> n2", "lease_node: n1 -> n2"]),
        (("ttft: 1s", "ttft: 2s"), ["slo.ttft_s: 1 -> 2"]),
        (("{HF_TOKEN: {env: HF_TOKEN}}", "{HF_TOKEN: {file: /run/token}}"), ["secrets.HF_TOKEN: env -> file"]),
        (("{HF_TOKEN: {env: HF_TOKEN}}", "{}"), ["secret HF_TOKEN removed"]),
        (
            (
                "{role: decode, parallel: {tp: 8}, min_instances: 1",
                "{role: decode, parallel: {tp: 4}, min_instances: 1",
            ),
            ["pool decode.parallel.tp: 8 -> 4"],
        ),
    ],
)
def test_an_edit_is_told_once_with_old_and_new(edit: tuple[str, str], words: list[str]) -> None:
    found = [str(each) for each in inventory_diff(deployment(), deployment(edit))]
    assert sorted(found) == sorted(words)


def test_comments_and_layout_are_no_edits() -> None:
    assert inventory_diff(deployment(), deployment(("cluster: c\n", "cluster:   c  # ours\n"))) == ()


def test_a_move_is_one_for_programs_too() -> None:
    (edit,) = inventory_diff(deployment(), deployment((N2, N2.replace("pool: prefill", "pool: decode"))))
    assert edit == Edit(EditKind.MOVED, "n2", "pool", "prefill", "decode")


def test_the_place_of_a_secret_is_not_told() -> None:
    edits = inventory_diff(deployment(), deployment(("{env: HF_TOKEN}", "{command: echo hf_poison}")))
    assert edits and "poison" not in repr(edits)
