"""`checks:` of an inventory: its mistakes are located, its values arrive."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdctl.control.admission import gates
from pdctl.control.check_rules import refuse_misspelt_rules
from pdctl.control.check_scope import registry_for
from pdctl.inventory.load import parse
from pdctl.inventory.place import place
from pdctl.inventory.problems import InvalidInventory
from pdctl.model.check_policy import SeverityIs, Thresholds, UnknownIs
from pdctl.model.deployment import Deployment

TEXT = """\
version: 1
cluster: c
model: {{name: m}}
engine: {{kind: {kind}, version: "0.33", supervisor: process, python: /opt/vllm/bin/python}}
router: {{kind: vllm-router, node: n1, port: 30000, supervisor: process, python: /opt/router/bin/python}}
pools: {{serve: {{role: mixed}}}}
nodes: {{n1: {{host: 10.0.0.1, gpu: {gpu}, gpus: 1, pool: serve}}}}
checks: {checks}
"""


def deployment(checks: str, kind: str = "vllm", gpu: str = "mi300x") -> Deployment:
    return place(parse(TEXT.format(checks=checks, kind=kind, gpu=gpu).encode(), Path("/i.yaml")))


def test_the_operators_decisions_arrive() -> None:
    policy = deployment(
        '{unknown: {"gpu.*": block}, severity: {host.iommu: "off"}, pinned: {rocm: "7.0.2"}, '
        "thresholds: {mtu_bytes: 4096, clock_warn_s: 0.03}}"
    ).checks
    assert policy.unknown == {"gpu.*": UnknownIs.BLOCK}
    assert policy.severity == {"host.iommu": SeverityIs.OFF}
    assert policy.pinned == {"rocm": "7.0.2"}
    assert (policy.thresholds.mtu_bytes, policy.thresholds.clock_warn_s) == (4096, 0.03)
    assert policy.thresholds.nofile == Thresholds().nofile


@pytest.mark.parametrize(
    ("checks", "said"),
    [
        ("{thresholds: {mtu_byte: 1}}", "checks.thresholds.mtu_byte: there is no such threshold"),
        ("{thresholds: {mtu_bytes: -1}}", "checks.thresholds.mtu_bytes: must not be negative, not -1"),
        ("{thresholds: {mtu_bytes: 1.5}}", "checks.thresholds.mtu_bytes: must be a whole number, not 1.5"),
        ("{thresholds: {ram_free_fraction: 7}}", "checks.thresholds.ram_free_fraction: must be a share of 1, not 7"),
        ('{unknown: {"gpu.*": no}}', "checks.unknown.gpu.*: must be block, warn or ignore"),
        ("{severity: {gpu.count: fatal}}", "checks.severity.gpu.count: must be block, warn, info or off"),
    ],
)
def test_a_mistake_is_located(checks: str, said: str) -> None:
    with pytest.raises(InvalidInventory) as refused:
        deployment(checks)
    (problem,) = refused.value.located
    assert said in f"{problem.where}: {problem.message}"
    assert problem.line == 8


@pytest.mark.parametrize(
    "checks", ["{unknown: {gpu.cuont: block}}", "{severity: {host.x: info}}", '{pinned: {x: "1"}}']
)
def test_a_rule_about_nothing_is_located(checks: str) -> None:
    inventory = parse(TEXT.format(checks=checks, kind="vllm", gpu="mi300x").encode(), Path("/i.yaml"))
    with pytest.raises(InvalidInventory) as refused:
        refuse_misspelt_rules(inventory, place(inventory).checks)
    assert [problem.line for problem in refused.value.located] == [8]


@pytest.mark.parametrize(
    ("checks", "kind", "gpu", "gated"),
    [
        ("{}", "vllm", "mi300x", True),
        ("{gate: false}", "vllm", "mi300x", False),
        ("{}", "simulated", "mi300x", False),
        ("{gate: true}", "simulated", "mi300x", True),
        ("{}", "vllm", "cpu", False),
    ],
)
def test_nodes_are_checked_before_a_start_where_there_are_gpus_or_the_inventory_says_so(
    checks: str, kind: str, gpu: str, gated: bool
) -> None:
    found = deployment(checks, kind, gpu)
    assert gates(found, skip=False) is gated
    assert gates(found, skip=True) is False
    asked = {check.id for check in registry_for(found).checks}
    assert ("gpu.count" in asked) is (gated or checks == "{gate: false}")
    assert "host.ports" in asked
