"""Drift by majority over a pool's nodes, pinned versions, and nodes that are slower than their peers."""

from __future__ import annotations

from pdctl.health.finding import Finding, Severity, Verdict
from pdctl.health.judge import judge
from pdctl.health.registry import Registry
from pdctl.model.check_policy import CheckPolicy
from tests.unit.health_fleet import figure, fleet, trait

PREFILL = ("mi300x-01", "mi300x-02")
DECODE = ("mi300x-03", "mi300x-04", "mi300x-05")


def failed(outputs: dict[str, dict[str, str]], registry: Registry, policy: CheckPolicy | None = None) -> list[Finding]:
    report = judge(fleet(outputs, policy=policy), registry)
    return [finding for finding in report.findings if finding.verdict is Verdict.FAIL]


def versions(*values: str, item: str = "kernel") -> dict[str, dict[str, str]]:
    """One value per node, decode nodes first."""
    return {node: {item: value} for node, value in zip((*DECODE, *PREFILL), values, strict=False) if value}


def test_the_odd_node_out_is_named_with_what_the_others_have() -> None:
    (finding,) = failed(versions("6.8", "6.8", "6.5"), Registry(traits=(trait("kernel"),)))
    assert (finding.subject.node, finding.observed) == ("mi300x-05", "6.5")
    assert finding.expected == "6.8 (2 of 3 nodes)"
    assert finding.severity is Severity.WARN


def test_a_tie_names_all_and_blames_nobody() -> None:
    found = failed(versions("", "", "", "6.8", "6.5"), Registry(traits=(trait("kernel"),)))
    assert [finding.subject.node for finding in found] == list(PREFILL)
    assert {finding.expected for finding in found} == {"one value; seen 6.5: mi300x-02; 6.8: mi300x-01"}
    assert {finding.fix for finding in found} == {""}


def test_pools_may_differ_from_each_other_unless_both_ends_must_agree() -> None:
    different = versions("6.8", "6.8", "6.8", "6.5", "6.5")
    assert failed(different, Registry(traits=(trait("kernel"),))) == []
    found = failed(different, Registry(traits=(trait("kernel", whole_fleet=True),)))
    assert [finding.subject.node for finding in found] == list(PREFILL)


def test_an_unknown_value_has_no_vote_and_is_no_agreement() -> None:
    report = judge(fleet({**versions("6.8", "6.8"), "mi300x-05": {}}), Registry(traits=(trait("kernel"),)))
    by_node = {finding.subject.node: finding.verdict for finding in report.findings}
    assert by_node == {"mi300x-03": Verdict.PASS, "mi300x-04": Verdict.PASS, "mi300x-05": Verdict.UNKNOWN}


def test_who_agrees_with_too_few_has_not_passed() -> None:
    alone = fleet({"mi300x-01": {"image": "sha256:a"}, "mi300x-02": {}})
    demanded = judge(alone, Registry(traits=(trait("image", Severity.BLOCK),)))
    assert [finding.verdict for finding in demanded.findings] == [Verdict.UNKNOWN, Verdict.UNKNOWN]
    silent = judge(alone, Registry(traits=(trait("image"),)))
    assert [finding.subject.node for finding in silent.findings] == ["mi300x-02"]


def test_nodes_that_were_not_reached_have_no_vote_either() -> None:
    two_of_three = fleet(versions("6.8", "6.8"))
    assert {each.verdict for each in judge(two_of_three, Registry(traits=(trait("kernel"),))).findings} == {
        Verdict.PASS
    }
    one_of_three = fleet(versions("6.8"))
    assert judge(one_of_three, Registry(traits=(trait("kernel"),))).findings == ()


def test_a_pinned_version_is_demanded_of_the_majority_too() -> None:
    policy = CheckPolicy(pinned={"kernel": "6.5"})
    found = failed(versions("6.8", "6.8", "6.5"), Registry(traits=(trait("kernel", pin="kernel"),)), policy)
    assert [finding.subject.node for finding in found] == ["mi300x-03", "mi300x-04"]
    assert found[0].expected == "6.5 (pinned in the inventory)"


def test_a_slow_node_is_below_nine_tenths_of_the_median() -> None:
    found = failed(versions("100", "98", "89", item="bw"), Registry(figures=(figure("bw"),)))
    assert found == []  # 89 of 98 is 0.908
    (finding,) = failed(versions("100", "98", "88", item="bw"), Registry(figures=(figure("bw"),)))
    assert finding.subject.node == "mi300x-05"
    assert finding.expected == ">= 88.2 GB/s (0.9x the median 98 of its pool)"


def test_two_nodes_have_no_outlier() -> None:
    assert failed(versions("", "", "", "100", "10", item="bw"), Registry(figures=(figure("bw"),))) == []
