"""What `up` refuses, and that it refuses nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from pdctl.engines.shapes import refusals
from pdctl.model.deployment import ArgValue, Deployment, Parallel
from pdctl.model.role import Connector, Role, RouterKind, TransferMode
from tests.unit.deployments import (
    every_cluster,
    gpt_oss_8p4d,
    mori_1p1d,
    nixl_1p2d,
    node,
    r1_2p3d,
    standard_2xtp4,
    wide_ep16,
)


def reasons(deployment: Deployment) -> str:
    found = refusals(deployment)
    assert all(each.what and each.hint for each in found)
    return " | ".join(f"{each.what}: {each.reason}" for each in found)


def with_pool(
    deployment: Deployment,
    name: str,
    *,
    args: Mapping[str, ArgValue] | None = None,
    env: Mapping[str, str] | None = None,
) -> Deployment:
    old = deployment.pools[name]
    new = replace(old, args={**old.args, **(args or {})}, env={**old.env, **(env or {})})
    return replace(deployment, pools={**deployment.pools, name: new})


def with_parallel(deployment: Deployment, role: Role, parallel: Parallel) -> Deployment:
    instances = tuple(replace(each, parallel=parallel) if each.role is role else each for each in deployment.instances)
    return replace(deployment, instances=instances)


@pytest.mark.parametrize(
    "deployment", [each for each in every_cluster() if each.cluster != "wide-ep16"], ids=lambda each: each.cluster
)
def test_shipped_shapes_can_be_brought_up(deployment: Deployment) -> None:
    assert refusals(deployment) == ()


def test_wide_decode_is_refused_until_the_router_can_pin_ranks_across_nodes() -> None:
    (found,) = refusals(wide_ep16())
    assert found.what == "wide-1.all.0"
    assert "cannot pin data-parallel ranks across nodes" in found.reason
    assert "router#223" in found.reason


def test_moriio_ranks_collide_with_dp_and_tp() -> None:
    found = reasons(with_parallel(mori_1p1d(), Role.DECODE, Parallel(tp=2, dp=2)))
    assert "solo.b.0: MoRI-IO's listeners of DP and TP ranks collide" in found


def test_old_vllm_registers_in_another_form() -> None:
    assert "vLLM 0.19.1 registers" in reasons(mori_1p1d(version="0.19.1"))
    assert reasons(mori_1p1d(version="0.21")) == ""


def test_prefill_and_decode_need_a_connector() -> None:
    deployment = nixl_1p2d()
    assert "need a connector" in reasons(replace(deployment, kv=replace(deployment.kv, connector=Connector.NONE)))


@pytest.mark.parametrize("deployment", [standard_2xtp4(), nixl_1p2d()], ids=lambda each: each.cluster)
def test_the_toy_proxy_speaks_moriio_only(deployment: Deployment) -> None:
    toy = replace(deployment, router=replace(deployment.router, kind=RouterKind.TOY_PROXY))
    assert "router: the MoRI-IO toy proxy" in reasons(toy)


def test_the_toy_proxy_over_moriio_may_come_up() -> None:
    deployment = mori_1p1d()
    assert reasons(replace(deployment, router=replace(deployment.router, kind=RouterKind.TOY_PROXY))) == ""


def test_both_sides_must_store_kv_alike() -> None:
    found = reasons(with_pool(r1_2p3d(), "decode", args={"kv_cache_dtype": "fp8"}))
    assert "different kv-cache-dtype (prefill: vLLM's default, decode: fp8)" in found


@pytest.mark.parametrize(
    ("flag", "owner"),
    [
        ("port", "pdctl's port plan"),
        ("--tensor_parallel_size", "parallel.tp"),
        ("tp", "parallel.tp"),
        ("data-parallel-external-lb", "internal load balancer"),
        ("no-enable-expert-parallel", "parallel.ep"),
        ("kv-transfer-config", "kv"),
        ("shutdown-timeout", "budgets.shutdown"),
    ],
)
def test_flags_that_pdctl_decides(flag: str, owner: str) -> None:
    found = reasons(with_pool(standard_2xtp4(), "serve", args={flag: True}))
    assert f"pool serve: args.{flag} is decided by" in found
    assert owner in found


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("VLLM_SERVER_DEV_MODE", "1", "without authentication"),
        ("VLLM_PORT", "5000", "clash"),
        ("HIP_VISIBLE_DEVICES", "0", "set by pdctl"),
        ("VLLM_MORIIO_CONNECTOR_READ_MODE", "1", "set by pdctl"),
        ("VLLM_MORIIO_QP_PER_TRANSFER", "4", "vLLM 0.33 ignores"),
        ("PYTORCH_ALLOC_CONF", "expandable_segments:True", "invalidate the KV memory"),
    ],
)
def test_environment_that_cannot_work(name: str, value: str, reason: str) -> None:
    assert reason in reasons(with_pool(mori_1p1d(), "decode", env={name: value}))
    deployment = mori_1p1d()
    nodes = {key: replace(spec, env={name: value}) for key, spec in deployment.nodes.items()}
    assert "node solo: " in reasons(replace(deployment, nodes=nodes))


def test_old_vllm_still_reads_moriios_variables() -> None:
    deployment = with_pool(mori_1p1d(version="0.22"), "decode", env={"VLLM_MORIIO_QP_PER_TRANSFER": "4"})
    assert reasons(deployment) == ""


def test_sleep_mode_and_kv_transfer() -> None:
    assert "sleep mode" in reasons(with_pool(mori_1p1d(), "decode", args={"enable-sleep-mode": True}))
    assert reasons(with_pool(standard_2xtp4(), "serve", args={"enable-sleep-mode": True})) == ""


def test_write_between_tp_sizes_that_do_not_divide() -> None:
    assert reasons(with_parallel(gpt_oss_8p4d(), Role.PREFILL, Parallel(tp=4))) == ""
    odd = with_parallel(gpt_oss_8p4d(), Role.PREFILL, Parallel(tp=3))
    assert "multiple of the other: 3 here, 2 on mi355x-02.all.0" in reasons(odd)
    assert reasons(replace(odd, kv=replace(odd.kv, mode=TransferMode.READ))) == ""


def test_a_groups_nodes_must_have_the_same_ports() -> None:
    deployment = wide_ep16()
    nodes = {**deployment.nodes, "wide-2": node("wide-2", 12, gpus=8)}
    assert "same ports on all its nodes" in reasons(replace(deployment, nodes=nodes))


def test_a_tensor_parallel_rank_group_may_not_straddle_nodes_under_dp() -> None:
    found = reasons(with_parallel(wide_ep16(), Role.DECODE, Parallel(tp=8, dp=2)))
    assert "a rank of 8 GPUs would straddle two nodes" in found


def test_everything_is_said_at_once() -> None:
    deployment = with_pool(mori_1p1d(version="0.20"), "prefill", args={"port": 1}, env={"VLLM_PORT": "1"})
    assert len(refusals(deployment)) == 3
