"""Pace: one timed request per fresh engine, against its pool and against its own past."""

from __future__ import annotations

import pytest

from pdctl.health.finding import Finding, Verdict
from pdctl.health.pace import PaceProfile, judge_pace, pace_word
from pdctl.model.check_policy import CheckPolicy, SeverityIs
from pdctl.model.deployment import Deployment
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


def slow(deployment: Deployment, name: str, policy: CheckPolicy) -> Finding | None:
    word = pace_word(s(9.0), {}, PaceProfile("spec", (1.0,)), spec_hash="spec")
    return judge_pace(deployment.instance(name), word, policy)


def test_a_slow_engine_of_many_nodes_blocks_all_its_slots() -> None:
    wide = next(instance.name for instance in wide_ep16().instances if instance.group)
    finding = slow(wide_ep16(), wide, CheckPolicy())
    assert finding is not None and finding.blocks
    assert finding.slots == tuple(f"wide-{number}.all" for number in range(1, 5))
    assert (finding.observed, finding.expected) == ("9 s", "<= 1.5 s (1.5x the median of its own last 1)")


def test_the_policy_decides_how_bad_a_slow_engine_is() -> None:
    def found(said: SeverityIs) -> Finding | None:
        return slow(r1_2p3d(), "mi300x-05.all.0", CheckPolicy(severity={"engine.pace": said}))

    warned = found(SeverityIs.WARN)
    assert warned is not None and not warned.blocks
    assert found(SeverityIs.OFF) is None


def test_a_profile_remembers_a_few_times_of_one_spec() -> None:
    profile = PaceProfile("a")
    for index in range(20):
        profile = profile.with_time("a", float(index))
    assert profile.times_s == tuple(float(index) for index in range(12, 20))
    assert profile.with_time("b", 1.0) == PaceProfile("b", (1.0,))
