"""Pace: one timed request per fresh engine, against its pool and against its own past."""

from __future__ import annotations

import pytest

from pdctl.health.finding import Verdict
from pdctl.health.pace import PaceProfile, judge_paces, pace_word
from pdctl.model.check_policy import CheckPolicy, SeverityIs
from pdctl.model.reading import Known, Reading, Unknown
from tests.unit.deployments import r1_2p3d, wide_ep16


def s(seconds: float) -> Reading[float]:
    return Known(seconds, "POST /v1/completions")


@pytest.mark.parametrize(
    ("took", "peers", "past", "verdict"),
    [
        (1.0, (1.0, 1.1), (), Verdict.PASS),
        (1.5, (1.0, 1.0), (), Verdict.PASS),
        (1.6, (1.0, 1.0), (), Verdict.FAIL),
        (1.6, (), (1.0, 1.0, 1.2), Verdict.FAIL),  # the whole pool slowed down with it
        (1.6, (1.5, 1.6), (1.0,), Verdict.FAIL),
        (1.6, (1.0,), (1.5,), Verdict.FAIL),
        (1.0, (), (), Verdict.UNKNOWN),
    ],
)
def test_an_engine_is_slow_against_its_pool_or_against_its_past(
    took: float, peers: tuple[float, ...], past: tuple[float, ...], verdict: Verdict
) -> None:
    others = {f"peer{index}": seconds for index, seconds in enumerate(peers)}
    word = pace_word(s(took), others, PaceProfile("spec", past), spec_hash="spec")
    assert word.verdict is verdict


def test_no_answer_is_unknown_and_not_fast() -> None:
    word = pace_word(Unknown("timed out"), {"peer": 1.0}, None, spec_hash="spec")
    assert (word.verdict, word.why) == (Verdict.UNKNOWN, "timed out")


def test_another_spec_is_another_engine() -> None:
    assert pace_word(s(9.0), {}, PaceProfile("old", (1.0,)), spec_hash="new").verdict is Verdict.UNKNOWN


def test_pools_are_compared_with_themselves_and_slow_times_are_not_learned() -> None:
    deployment = r1_2p3d()
    instances = {instance.name: instance for instance in deployment.instances}
    seconds = dict(zip(instances, (0.2, 0.2, 1.0, 1.0, 2.0), strict=True))
    findings, after = judge_paces(
        {name: s(value) for name, value in seconds.items()},
        instances,
        {},
        dict.fromkeys(instances, "spec"),
        CheckPolicy(),
    )
    slow = [finding for finding in findings if finding.verdict is Verdict.FAIL]
    assert [finding.subject.device for finding in slow] == ["mi300x-05.all.0"]
    assert slow[0].blocks and slow[0].slots == ("mi300x-05.all",)
    assert slow[0].expected == "<= 1.5 s (1.5x the median of 2 in its pool)"
    assert set(after) == set(instances) - {"mi300x-05.all.0"}


def test_a_slow_engine_of_many_nodes_blocks_all_its_slots() -> None:
    instances = {instance.name: instance for instance in wide_ep16().instances}
    wide = next(name for name, instance in instances.items() if instance.group)
    findings, _ = judge_paces(
        {wide: s(9.0)}, instances, {wide: PaceProfile("spec", (1.0,))}, {wide: "spec"}, CheckPolicy()
    )
    assert findings[0].slots == tuple(f"wide-{number}.all" for number in range(1, 5))


def test_the_policy_decides_how_bad_a_slow_engine_is() -> None:
    instances = {instance.name: instance for instance in r1_2p3d().instances}
    slow = next(iter(instances))

    def found(said: SeverityIs) -> list[bool]:
        policy = CheckPolicy(severity={"engine.pace": said})
        findings, _ = judge_paces(
            {slow: s(9.0)}, instances, {slow: PaceProfile("spec", (1.0,))}, {slow: "spec"}, policy
        )
        return [finding.blocks for finding in findings]

    assert found(SeverityIs.WARN) == [False]
    assert found(SeverityIs.OFF) == []


def test_a_profile_remembers_a_few_times_of_one_spec() -> None:
    profile = PaceProfile("a")
    for index in range(20):
        profile = profile.with_time("a", float(index))
    assert profile.times_s == tuple(float(index) for index in range(12, 20))
    assert profile.with_time("b", 1.0) == PaceProfile("b", (1.0,))
