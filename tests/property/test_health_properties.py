"""To know less never looks better: whatever is taken away, nothing passes that did not pass before."""

from __future__ import annotations

import os
from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from pdctl.health.counters import Baseline, Counted, CounterId, gains
from pdctl.health.finding import Severity, Verdict
from pdctl.health.judge import judge
from pdctl.health.outliers import pool_middle
from pdctl.health.registry import REGISTRY, Registry
from pdctl.health.report import Fitness, Report, by_urgency
from pdctl.model.check_policy import CheckPolicy, UnknownIs
from pdctl.model.reading import Known, Reading
from tests.unit.health_fleet import below, figure, fleet, trait

FLEETS = settings(max_examples=int(os.environ.get("PDCTL_HEALTH_EXAMPLES", "25")), deadline=None)
"""Judging five nodes takes some milliseconds; more examples on request."""

NODES = tuple(f"mi300x-{number:02d}" for number in range(1, 6))
ITEMS = ("heat", "kernel", "bw", "image")
SENT = st.dictionaries(
    st.sampled_from(NODES),
    st.fixed_dictionaries({}, optional={item: st.sampled_from(["1", "2", "80", "100"]) for item in ITEMS}),
)
TAKEN = st.sets(st.tuples(st.sampled_from(NODES), st.sampled_from((*ITEMS, ""))))

ALL = Registry(
    checks=(below("heat", 50, essential=True),),
    traits=(trait("kernel"), trait("image", Severity.BLOCK, whole_fleet=True)),
    figures=(figure("bw"),),
)


def without(sent: Mapping[str, Mapping[str, str]], taken: set[tuple[str, str]]) -> dict[str, dict[str, str]]:
    """`sent` without the items taken; "" takes the whole node."""
    return {
        node: {item: text for item, text in items.items() if (node, item) not in taken}
        for node, items in sent.items()
        if (node, "") not in taken
    }


def passed(report: Report) -> set[tuple[str, str, str]]:
    return {
        (finding.check, finding.subject.node, finding.subject.device)
        for finding in report.findings
        if finding.verdict is Verdict.PASS
    }


@FLEETS
@given(SENT, TAKEN)
def test_nothing_passes_for_want_of_information(sent: dict[str, dict[str, str]], taken: set[tuple[str, str]]) -> None:
    whole, less = judge(fleet(sent), ALL), judge(fleet(without(sent, taken)), ALL)
    assert passed(less) <= passed(whole)


@FLEETS
@given(SENT, TAKEN)
def test_no_slot_becomes_fit_for_want_of_information_where_unknown_blocks(
    sent: dict[str, dict[str, str]], taken: set[tuple[str, str]]
) -> None:
    policy = CheckPolicy(unknown={"*": UnknownIs.BLOCK})
    whole = judge(fleet(sent, policy=policy), ALL)
    less = judge(fleet(without(sent, taken), policy=policy), ALL)
    fit = {slot.slot for slot in less.slots if slot.may_serve}
    removed = {node for node, _ in taken}
    for slot in whole.slots:
        if slot.node in removed or not removed:
            assert slot.slot not in fit or slot.fitness is Fitness.FIT


@FLEETS
@given(SENT)
def test_blocking_slots_findings_and_exit_code_agree(sent: dict[str, dict[str, str]]) -> None:
    report = judge(fleet(sent), ALL)
    for slot in report.slots:
        blockers = [finding for finding in report.findings if finding.blocks and slot.slot in finding.slots]
        assert list(slot.blockers) == blockers
        assert slot.may_serve == (not blockers and slot.node in report.nodes)
    assert (report.exit_code == 0) == all(slot.may_serve for slot in report.slots)
    assert list(report.findings) == sorted(report.findings, key=by_urgency)


@FLEETS
@given(SENT)
def test_every_check_there_is_survives_envelopes_of_nonsense(sent: dict[str, dict[str, str]]) -> None:
    report = judge(fleet(sent), REGISTRY)
    assert not [finding for finding in report.findings if "itself failed" in finding.why]


@given(st.lists(st.floats(1, 100), min_size=3, max_size=9), st.integers(0, 4))
def test_the_median_is_never_lower_for_nodes_that_are_silent(figures: list[float], silent: int) -> None:
    said: list[Mapping[str, Reading[float]]] = [{"": Known(value, "x")} for value in figures]
    whole, less = pool_middle(said), pool_middle([*said[silent:], *[{}] * min(silent, len(said))])
    assert whole is not None
    if less is not None:
        assert less.at_most >= whole.known


@given(st.lists(st.integers(0, 9), min_size=1, max_size=4), st.none() | st.integers(0, 9), st.booleans())
def test_a_gain_is_never_negative(values: list[int], before: int | None, same_boot: bool) -> None:
    key = CounterId("mlx5_0", "link_downed", "guid")
    base = None if before is None else Baseline("m", "b" if same_boot else "c", 0.0, {key: before})
    found = gains([Counted(key, tuple(values), "x")], "m", "b", 60.0, base).of("mlx5_0", "link_downed")
    if isinstance(found, Known):
        assert found.value.count >= 0
