"""The spec hash changes exactly when an input of the instance does, and says which."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from pdctl.engines.engine import render
from pdctl.engines.spec_hash import diff_fields, hash_fields, spec_fields, spec_hash
from pdctl.model.deployment import Deployment, Parallel, Secret
from pdctl.model.role import Connector, TransferMode
from tests.unit.deployments import every_cluster, mori_1p1d, r1_2p3d, wide_ep16

Edit = Callable[[Deployment], Deployment]


def _pool(**changes: object) -> Edit:
    def edit(old: Deployment) -> Deployment:
        pools = {**old.pools, "prefill": replace(old.pools["prefill"], **changes)}  # type: ignore[arg-type]
        return replace(old, pools=pools)

    return edit


def _node(**changes: object) -> Edit:
    def edit(old: Deployment) -> Deployment:
        return replace(old, nodes={name: replace(spec, **changes) for name, spec in old.nodes.items()})  # type: ignore[arg-type]

    return edit


def _leader(**changes: object) -> Edit:
    def edit(old: Deployment) -> Deployment:
        first = old.instances[0]
        parts = (replace(first.leader, **changes),)  # type: ignore[arg-type]
        return replace(old, instances=(replace(first, parts=parts), *old.instances[1:]))

    return edit


CHANGES: dict[str, tuple[Edit, str]] = {
    "model path": (lambda old: replace(old, model=replace(old.model, path="/models/q")), "model.path"),
    "engine version": (lambda old: replace(old, engine=replace(old.engine, version="0.34")), "engine.version"),
    "image": (lambda old: replace(old, engine=replace(old.engine, image="rocm/vllm")), "engine.image"),
    "transfer mode": (lambda old: replace(old, kv=replace(old.kv, mode=TransferMode.WRITE)), "kv.mode"),
    "connector": (lambda old: replace(old, kv=replace(old.kv, connector=Connector.NIXL)), "kv.connector"),
    "pool's flags": (_pool(args={"max-num-seqs": 64}), "args.gpu-memory-utilization"),
    "pool's env": (_pool(env={"X": "1"}), "env.X"),
    "node's env": (_node(env={"NCCL_IB_GID_INDEX": "3"}), "node.env.NCCL_IB_GID_INDEX"),
    "data address": (_node(data_address="10.9.9.9"), "data_address"),
    "GPUs": (_leader(gpus=(0, 1, 2, 7)), "gpus"),
    "parallelism": (
        lambda old: replace(old, instances=(replace(old.instances[0], parallel=Parallel(tp=4)), *old.instances[1:])),
        "parallel.ep",
    ),
    "secrets": (lambda old: replace(old, secrets=(Secret("HF_TOKEN", "env", "HF_TOKEN"),)), "secrets"),
    "drain budget": (
        lambda old: replace(old, budgets=replace(old.budgets, shutdown_s=30.0)),
        "budgets.shutdown_s",
    ),
}
SAME: dict[str, Edit] = {
    "router's port": lambda old: replace(old, router=replace(old.router, port=20000)),
    "inventory's bytes": lambda old: replace(old, digest="1" * 64, source="/elsewhere.yaml"),
    "SSH address": _node(host="192.0.2.1", port=2222),
    "node and slot names": _leader(node="solo", slot="renamed", name="solo.renamed.0"),
    "other pool": lambda old: replace(
        old, pools={**old.pools, "decode": replace(old.pools["decode"], args={"max-num-seqs": 1})}
    ),
    "start budget": lambda old: replace(old, budgets=replace(old.budgets, ready_s=60.0)),
    "floor": _pool(min_instances=0),
}


@pytest.mark.parametrize(("edit", "field"), CHANGES.values(), ids=CHANGES.keys())
def test_an_input_changes_the_hash_and_is_named(edit: Edit, field: str) -> None:
    old = mori_1p1d(TransferMode.READ)
    new = edit(old)
    before, after = (spec_fields(each, each.instances[0]) for each in (old, new))
    assert spec_hash(old, old.instances[0]) != spec_hash(new, new.instances[0])
    assert field in {change.field for change in diff_fields(before, after)}


@pytest.mark.parametrize("edit", SAME.values(), ids=SAME.keys())
def test_what_is_no_input_leaves_the_hash(edit: Edit) -> None:
    old = mori_1p1d(TransferMode.READ)
    new = edit(old)
    assert spec_hash(old, old.instances[0]) == spec_hash(new, new.instances[0])


def test_the_spelling_of_a_flag_is_no_input() -> None:
    old = mori_1p1d()
    dashed = _pool(args={"max-num-seqs": 64, "enable-prefix-caching": False, "seed": None})(old)
    spelt = _pool(args={"no_enable_prefix_caching": True, "max_num_seqs": "64"})(old)
    assert spec_hash(dashed, old.instances[0]) == spec_hash(spelt, old.instances[0])


def test_the_source_of_a_secret_is_no_input_but_its_name_is() -> None:
    old = r1_2p3d()
    elsewhere = replace(old, secrets=(Secret("HF_TOKEN", "file", "/run/token"),))
    assert spec_hash(old, old.instances[0]) == spec_hash(elsewhere, old.instances[0])
    assert "secrets" in spec_fields(old, old.instances[0])


@pytest.mark.parametrize("deployment", every_cluster(), ids=lambda each: each.cluster)
def test_generations_share_a_hash_of_16_hex_digits_that_stored_fields_give_again(deployment: Deployment) -> None:
    for instance in deployment.instances:
        found = spec_hash(deployment, instance)
        assert len(found) == 16
        assert int(found, 16) >= 0
        assert hash_fields(spec_fields(deployment, instance)) == found
        hashes = {
            render(deployment, instance, dict.fromkeys(instance.nodes, number)).spec_hash for number in (1, 2, 300)
        }
        assert hashes == {found}


def test_a_hash_is_the_same_in_every_process_and_release() -> None:
    """A changed digest here means that every running engine would be replaced by the next `up`."""
    deployment = mori_1p1d(TransferMode.READ)
    assert spec_hash(deployment, deployment.instances[0]) == "2c90ecc8b1f66801"


def test_a_group_names_the_part_that_differs() -> None:
    old = wide_ep16()
    nodes = {**old.nodes, "wide-3": replace(old.nodes["wide-3"], env={"X": "1"})}
    new = replace(old, nodes=nodes)
    (change,) = diff_fields(spec_fields(old, old.instances[1]), spec_fields(new, new.instances[1]))
    assert str(change) == "part2.node.env.X: (none) -> 1"


def test_a_difference_reads_as_one_line() -> None:
    old = {"kv.mode": "read", "env.A": "", "same": "1"}
    new = {"kv.mode": "write", "same": "1"}
    assert [str(change) for change in diff_fields(old, new)] == ['env.A: "" -> (none)', "kv.mode: read -> write"]
