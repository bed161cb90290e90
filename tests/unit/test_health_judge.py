"""What the judging frame makes of checks' words: findings in the order to act, verdicts, an exit code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from pdctl.errors import InventoryError
from pdctl.health.check import Check, Word, word_on
from pdctl.health.expectations import Expectations, Situation
from pdctl.health.facts import NodeFacts
from pdctl.health.finding import Severity, Verdict
from pdctl.health.judge import judge
from pdctl.health.policy import refuse_unknown_names
from pdctl.health.registry import Registry
from pdctl.health.report import Fitness
from pdctl.model.check_policy import CheckPolicy, SeverityIs, UnknownIs
from pdctl.model.observed import Trouble
from pdctl.model.reading import Unknown
from tests.unit.deployments import mori_1p1d
from tests.unit.health_fleet import below, fleet, per_gpu, raising

NODES = tuple(f"mi300x-{number:02d}" for number in range(1, 6))
GOOD = {node: {"heat": "10"} for node in NODES}


def test_nodes_that_pass_may_serve() -> None:
    report = judge(fleet(GOOD), Registry(checks=(below("heat", 20),)))
    assert report.exit_code == 0
    assert [slot.fitness for slot in report.slots] == [Fitness.FIT] * 5
    assert report.problems == ()
    assert len(report.findings) == 5  # a pass is a word too


def test_a_failed_check_blocks_its_node_and_no_other() -> None:
    report = judge(fleet({**GOOD, NODES[2]: {"heat": "30"}}), Registry(checks=(below("heat", 20),)))
    assert report.exit_code == 1
    assert [slot.slot for slot in report.slots if not slot.may_serve] == ["mi300x-03.all"]
    (finding,) = report.problems
    assert (finding.check, finding.subject.node, finding.observed, finding.expected) == (
        "test.heat",
        "mi300x-03",
        "30",
        "< 20",
    )
    assert finding.evidence[0].source == "heat"
    assert finding.fix == "lower heat"
    assert report.findings[0] is finding


def test_a_bad_gpu_blocks_the_slot_that_holds_it() -> None:
    sent = fleet({"solo": {"gpus": "5"}}, deployment=mori_1p1d())
    report = judge(sent, Registry(checks=(per_gpu("gpus"),)))
    assert {slot.slot: slot.fitness for slot in report.slots} == {"solo.a": Fitness.FIT, "solo.b": Fitness.BLOCKED}
    (finding,) = report.blocking
    assert (finding.subject.slot, finding.subject.device) == ("solo.b", "gpu5")


def test_a_bad_gpu_out_of_scope_blocks_nothing() -> None:
    scope = Situation(scope=frozenset({"solo.a"}))
    sent = fleet({"solo": {"gpus": "5"}}, deployment=mori_1p1d(), situation=scope)
    report = judge(sent, Registry(checks=(per_gpu("gpus"),)))
    assert [slot.slot for slot in report.slots] == ["solo.a"]
    assert report.slots[0].may_serve
    assert report.exit_code == 0


def test_a_check_that_raises_is_unknown_and_named_and_hides_nothing() -> None:
    checks = (raising(ZeroDivisionError("by zero")), below("heat", 5))
    report = judge(fleet({NODES[0]: {"heat": "10"}}), Registry(checks=checks))
    defect = next(finding for finding in report.findings if finding.check == "test.defect")
    assert defect.verdict is Verdict.UNKNOWN
    assert defect.why == "the check itself failed: ZeroDivisionError: by zero"
    assert any(finding.check == "test.heat" and finding.blocks for finding in report.findings)


def test_a_part_that_could_not_be_parsed_is_unknown_to_every_check_that_asks_for_it() -> None:
    def judged(facts: NodeFacts, expected: Expectations) -> Iterator[Word]:
        yield word_on(facts.host.numa_balancing, lambda value: value == 0, expected="0")

    sent = fleet({NODES[0]: {"heat": "10"}})
    broken = replace(sent.nodes[NODES[0]], host_part=Unknown("the host outputs could not be parsed: KeyError: 'x'"))
    asking = Check("test.host", "host", Severity.BLOCK, (), judged)
    report = judge(replace(sent, nodes={NODES[0]: broken}), Registry(checks=(asking, below("heat", 20))))
    said = {finding.check: finding for finding in report.of_node(NODES[0])}
    assert said["test.heat"].verdict is Verdict.PASS
    for check in ("test.host", "pdctl.parse"):
        assert said[check].verdict is Verdict.UNKNOWN
        assert "KeyError: 'x'" in said[check].why


@pytest.mark.parametrize(
    ("essential", "said", "fitness"),
    [
        (False, None, Fitness.FIT),
        (True, None, Fitness.UNKNOWN),
        (False, UnknownIs.BLOCK, Fitness.UNKNOWN),
        (True, UnknownIs.WARN, Fitness.FIT),
        (True, UnknownIs.IGNORE, Fitness.FIT),
    ],
)
def test_which_unknown_blocks_is_policy(essential: bool, said: UnknownIs | None, fitness: Fitness) -> None:
    policy = CheckPolicy(unknown={} if said is None else {"test.*": said})
    sent = fleet({NODES[0]: {}}, policy=policy)
    report = judge(sent, Registry(checks=(below("heat", 20, essential=essential),)))
    slot = report.slot("mi300x-01.all")
    assert slot is not None
    assert slot.fitness is fitness
    shown = [finding.verdict for finding in report.findings if finding.subject.node == NODES[0]]
    assert shown == ([] if said is UnknownIs.IGNORE else [Verdict.UNKNOWN])


def test_severities_can_be_overridden_and_checks_switched_off() -> None:
    hot = {NODES[0]: {"heat": "30"}}
    registry = Registry(checks=(below("heat", 20),))
    softer = judge(fleet(hot, policy=CheckPolicy(severity={"test.heat": SeverityIs.WARN})), registry)
    assert softer.findings[0].severity is Severity.WARN
    assert softer.blocking == ()
    off = judge(fleet(hot, policy=CheckPolicy(severity={"test.*": SeverityIs.OFF})), registry)
    assert off.findings == ()


def test_an_exact_id_goes_before_a_glob_and_a_longer_glob_before_a_shorter_one() -> None:
    policy = CheckPolicy(unknown={"*": UnknownIs.IGNORE, "gpu.*": UnknownIs.BLOCK, "gpu.ecc": UnknownIs.WARN})
    assert policy.unknown_override("gpu.ecc") is UnknownIs.WARN
    assert policy.unknown_override("gpu.count") is UnknownIs.BLOCK
    assert policy.unknown_override("nic.count") is UnknownIs.IGNORE


def test_a_misspelt_rule_is_refused_with_what_was_meant() -> None:
    policy = CheckPolicy(unknown={"gpu.cuont": UnknownIs.BLOCK}, pinned={"rocmm": "7.0"})
    with pytest.raises(InventoryError) as refused:
        refuse_unknown_names(policy, ["gpu.count"], ["rocm"])
    assert [problem.split("; ")[1] for problem in refused.value.problems] == [
        "did you mean 'gpu.count'?",
        "did you mean 'rocm'?",
    ]
    refuse_unknown_names(CheckPolicy(unknown={"gpu.*": UnknownIs.BLOCK}), ["gpu.count"], [])


def test_unreachable_nodes_are_neither_fit_nor_forgotten() -> None:
    lost = {NODES[1]: Trouble("connection refused", exit_code=4)}
    report = judge(fleet({NODES[0]: {"heat": "1"}}, unreachable=lost), Registry(checks=(below("heat", 20),)))
    assert report.exit_code == 4
    verdicts = {slot.slot: slot for slot in report.slots}
    assert verdicts["mi300x-02.all"].fitness is Fitness.UNKNOWN
    assert verdicts["mi300x-02.all"].trouble == lost[NODES[1]]
    silent = verdicts["mi300x-03.all"].trouble
    assert silent is not None and "nothing was collected" in silent.cause


def test_what_to_do_first_comes_first() -> None:
    checks = (
        below("fine", 20),
        below("warm", 20, Severity.WARN),
        below("gone", 20),
        below("drift", 20, Severity.INFO),
        below("hot", 20),
        below("vital", 20, essential=True),
    )
    sent = fleet({NODES[0]: {"fine": "1", "warm": "30", "drift": "30", "hot": "30"}})
    report = judge(sent, Registry(checks=checks))
    order = [finding.check for finding in report.findings if finding.subject.node == NODES[0]]
    assert order == ["test.hot", "test.vital", "test.warm", "test.gone", "test.drift", "test.fine"]
