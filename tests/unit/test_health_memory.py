"""The memory budget before a launch: vLLM's share and MoRI's heap, and the room that must be left."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pdctl.health.expectations import parse_size
from pdctl.health.finding import Verdict
from pdctl.health.judge import judge
from pdctl.health.memory_budget import CHECKS, GIB, MemoryBudget, largest_utilization
from pdctl.health.registry import Registry
from pdctl.model.deployment import Deployment
from tests.unit.deployments import mori_1p1d
from tests.unit.health_fleet import fleet


def with_heap(heap: str, utilization: float) -> Deployment:
    deployment = mori_1p1d()
    decode = deployment.pools["decode"]
    pool = replace(
        decode,
        env={**decode.env, "MORI_SHMEM_HEAP_SIZE": heap},
        args={**decode.args, "gpu-memory-utilization": utilization},
    )
    return replace(deployment, pools={**deployment.pools, "decode": pool})


def test_utilisation_and_heap_must_leave_room() -> None:
    report = judge(fleet({"solo": {}}, deployment=with_heap("32G", 0.8)), Registry(checks=CHECKS))
    (finding,) = report.blocking
    assert finding.subject.slot == "solo.b"
    assert finding.observed == "0.8 x 192.0 GiB + 32.0 GiB MoRI heap leaves 6.4 GiB"
    assert finding.expected == ">= 20.0 GiB left"
    assert "gpu-memory-utilization to 0.72 or less in pool decode" in finding.fix


def test_the_largest_utilisation_that_is_named_does_fit() -> None:
    largest = largest_utilization(192 * GIB, 32 * GIB, 20 * GIB)
    assert MemoryBudget(192 * GIB, largest, 32 * GIB).fits(20 * GIB)
    assert not MemoryBudget(192 * GIB, largest + 0.01, 32 * GIB).fits(20 * GIB)
    report = judge(fleet({"solo": {}}, deployment=with_heap("32G", largest)), Registry(checks=CHECKS))
    assert report.problems == ()


def test_without_a_heap_vllm_may_take_its_usual_share() -> None:
    report = judge(fleet({"solo": {}}, deployment=mori_1p1d()), Registry(checks=CHECKS))
    assert [finding.verdict for finding in report.findings] == [Verdict.PASS, Verdict.PASS]


def test_an_unknown_kind_of_gpu_has_an_unknown_budget() -> None:
    deployment = mori_1p1d()
    spec = replace(deployment.nodes["solo"], gpu="unknown")
    report = judge(fleet({"solo": {}}, deployment=replace(deployment, nodes={"solo": spec})), Registry(checks=CHECKS))
    assert {finding.verdict for finding in report.findings} == {Verdict.UNKNOWN}


@pytest.mark.parametrize(
    ("text", "size"),
    [("16G", 16 * GIB), ("16GiB", 16 * GIB), ("17179869184", 16 * GIB), ("0.5t", 512 * GIB), ("", None), ("x", None)],
)
def test_sizes_as_mori_reads_them(text: str, size: int | None) -> None:
    assert parse_size(text) == size
