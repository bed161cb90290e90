"""However what a node sends is damaged: no crash, and nothing passes that the intact outputs do not pass.

`PDCTL_HEALTH_EXAMPLES=10000` runs as many cases as the issue of the health checks asks for.
"""

from __future__ import annotations

import os
from collections.abc import Set
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from pdctl.health.envelope import Envelope
from pdctl.health.expectations import Situation
from pdctl.health.finding import Verdict
from pdctl.health.fleet import fleet_of
from pdctl.health.judge import judge
from pdctl.health.report import Report
from pdctl.model.deployment import Deployment, Parallel
from pdctl.model.role import Role
from pdctl.sim.standins.host import Shape
from tests.property.health_mutations import damaged
from tests.unit import deployments
from tests.unit.health_nodes import node

CASES = settings(max_examples=int(os.environ.get("PDCTL_HEALTH_EXAMPLES", "30")), deadline=None)

SICK = Shape(
    "n1",
    missing_gpus=frozenset({3}),
    uncorrectable={5: 2},
    foreign={4: 40 << 30},
    ports_down=frozenset({2}),
    rates_gbps={6: 200},
    only_roce_v1=frozenset({1}),
    memlock_kib=64,
    numa_balancing=1,
)


@cache
def site() -> Deployment:
    shape = Parallel(tp=4)
    return deployments.cluster(
        "one",
        [deployments.node("n1", 1)],
        [deployments.pool("prefill", Role.PREFILL, shape), deployments.pool("decode", Role.DECODE, shape)],
        [deployments.slot("n1", range(4), "prefill", "a"), deployments.slot("n1", range(4, 8), "decode", "b")],
    )


def judged(envelope: Envelope) -> Report:
    situation = Situation(serving={"n1": frozenset()})
    return judge(fleet_of(site(), {"n1": envelope}, situation=situation))


def passed(report: Report) -> Set[tuple[str, str]]:
    return {(each.check, each.subject.device) for each in report.findings if each.verdict is Verdict.PASS}


@cache
def intact(*, sick: bool) -> tuple[Envelope, Set[tuple[str, str]]]:
    """A node, and what passes there."""
    envelope = node(SICK if sick else None)
    return envelope, passed(judged(envelope))


@CASES
@given(seed=st.integers(0, 1 << 32), sick=st.booleans())
def test_damaged_outputs_neither_crash_a_check_nor_pass_one(seed: int, sick: bool) -> None:
    envelope, passes = intact(sick=sick)
    report = judged(damaged(envelope, seed))
    assert [each.why for each in report.findings if "itself failed" in each.why or "not be parsed" in each.why] == []
    fresh = passed(report) - passes
    assert fresh == set()
