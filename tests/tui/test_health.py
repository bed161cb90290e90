"""Health: what to act on first stands first, nothing unknown is called good, and a check holds nothing up."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from textual.app import App

from pdctl.errors import PdctlError
from pdctl.health.finding import Evidence, Finding, Severity, Subject, Verdict
from pdctl.health.report import Fitness, Report, SlotVerdict, by_urgency
from pdctl.model.observed import Trouble
from pdctl.model.snapshot import AlertLevel
from pdctl.tui.health_view import Checking, detail_lines, health_rows, summary
from pdctl.tui.levels import Level
from pdctl.tui.screens.health import HealthScreen
from pdctl.tui.spans import plain, width
from tests.tui.fakes import FakeFeed, FakeOperations, app_over
from tests.tui.fleet import START_S, snapshot


def finding(
    check: str, verdict: Verdict = Verdict.FAIL, severity: Severity = Severity.BLOCK, *, unknown_blocks: bool = False
) -> Finding:
    return Finding(
        check,
        verdict,
        severity,
        Subject("n02", "n02.main", "gpu3"),
        "3 errors",
        "0",
        (Evidence("amd-smi metric --ecc", "UNCORRECTABLE: 3\n  since boot"),),
        "replace the GPU",
        "memory that fails gives wrong answers",
        "uncorrectable ECC errors",
        ("n02.main",),
        unknown_blocks,
    )


FINDINGS = (
    finding("a.passes", Verdict.PASS),
    finding("b.warns", severity=Severity.WARN),
    finding("c.blocks"),
    finding("d.unknown", Verdict.UNKNOWN),
    finding("e.must_know", Verdict.UNKNOWN, unknown_blocks=True),
    finding("f.differs", severity=Severity.INFO),
)
REPORT = Report(
    tuple(sorted(FINDINGS, key=by_urgency)),
    (SlotVerdict("n01.main", "n01", Fitness.FIT), SlotVerdict("n02.main", "n02", Fitness.BLOCKED)),
    ("n01", "n02"),
    {"n03": Trouble("no route to host", "is it on?", 4)},
)


def test_what_to_act_on_first_stands_first() -> None:
    rows = sorted(health_rows(snapshot(1, 2, hung=(3,)), REPORT, START_S + 60), key=lambda row: row.order)
    assert [row.word for row in rows] == [
        "page", "blocks", "must be known", "unreached", "warns", "unknown", "differs",
    ]  # fmt: skip
    assert [row.level for row in rows][:4] == [Level.BAD, Level.BAD, Level.UNKNOWN, Level.UNKNOWN]


def test_what_passed_is_counted_and_listed_only_where_asked_for() -> None:
    assert not any(row.level is Level.GOOD for row in health_rows(None, REPORT, START_S))
    assert any(row.word == "passed" for row in health_rows(None, REPORT, START_S, passed=True))
    line = plain(summary(REPORT, (), Checking(START_S), START_S + 125))
    assert "1 of 2 slots may serve" in line
    assert "1 passed on 2 nodes, 2m05s ago" in line


@pytest.mark.parametrize(
    ("checking", "said"),
    [
        (Checking(), "not checked yet"),
        (Checking(began_s=START_S - 12), "checking all nodes, 12s"),
        (Checking(trouble="a recording: no node can be checked"), "the check failed: a recording"),
    ],
)
def test_the_summary_says_how_the_check_stands(checking: Checking, said: str) -> None:
    assert said in plain(summary(None, (), checking, START_S))


def test_alerts_say_since_when_and_how_often_and_stand_by_their_node() -> None:
    tick = snapshot(1, 2, hung=(3,))
    tick = replace(tick, alerts=tuple(replace(alert, folded=2, level=AlertLevel.WARN) for alert in tick.alerts))
    (row,) = health_rows(tick, None, START_S + 200)
    assert (row.node, row.about, row.word, row.since_s) == ("n03", "n03.main.0", "alert", START_S)
    text = "\n".join(plain(line) for line in detail_lines(row, 70))
    assert "3m20s ago" in text
    assert "came and went 2 times" in text
    assert "pdctl restart n03.main.0" in text


def test_details_have_the_fix_before_the_evidence_and_keep_its_lines() -> None:
    row = next(row for row in health_rows(None, REPORT, START_S) if "c.blocks" in row.about)
    lines = [plain(line) for line in detail_lines(row, 60)]
    text = "\n".join(lines)
    assert lines[0].startswith("fail      uncorrectable ECC errors on n02 n02.main gpu3")
    assert text.index("replace the GPU") < text.index("UNCORRECTABLE: 3")
    assert "            since boot" in lines
    assert "slots     n02.main" in lines
    assert all(width(line) <= 60 for line in detail_lines(row, 60))


def screen_of(app: App[int]) -> HealthScreen:
    assert isinstance(app.screen, HealthScreen)
    return app.screen


async def checked(app: App[int]) -> None:
    if checks := [worker for worker in app.workers if worker.group == "check"]:
        await app.workers.wait_for_complete(checks)


def summary_in(app: App[int]) -> str:
    return "\n".join(plain(line) for line in screen_of(app).summary.lines)


@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
async def test_the_first_look_checks_the_nodes_and_r_checks_again(size: tuple[int, int]) -> None:
    feed, operations = FakeFeed(), FakeOperations(report=REPORT)
    app = app_over(feed, operations, start="health")
    async with app.run_test(size=size) as pilot:
        await feed.push(snapshot(1, 2, hung=(3,)))
        await checked(app)
        await pilot.pause()
        assert [row.word for row in screen_of(app).fleet.shown_rows][:2] == ["page", "blocks"]
        assert "1 of 2 slots may serve" in summary_in(app)
        await pilot.press("down")
        assert "uncorrectable ECC" in "\n".join(plain(line) for line in screen_of(app).detail.lines)
        await pilot.press("r")
        await checked(app)
        assert operations.asked.count(("health", None)) == 2


async def test_a_check_that_hangs_holds_nothing_up_and_one_that_fails_leaves_the_last() -> None:
    feed, operations = FakeFeed(), FakeOperations(report=REPORT)
    app = app_over(feed, operations, start="health")
    async with app.run_test(size=(80, 24)) as pilot:
        await feed.push(snapshot(1, 2))
        await checked(app)
        operations.hang, operations.refusal = asyncio.Event(), PdctlError("the bastion is down")
        await pilot.press("r", "r", "down")
        assert "checking all nodes" in summary_in(app)
        assert operations.asked.count(("health", None)) == 2
        operations.hang.set()
        await checked(app)
        await pilot.pause()
        assert "the check failed: the bastion is down" in summary_in(app)
        assert "1 of 2 slots may serve" in summary_in(app)
        assert len(screen_of(app).fleet.shown_rows) == 6


async def test_p_lists_what_passed_and_a_filter_finds_a_node() -> None:
    feed = FakeFeed()
    app = app_over(feed, FakeOperations(report=REPORT), start="health")
    async with app.run_test(size=(80, 24)) as pilot:
        await feed.push(snapshot(1, 2))
        await checked(app)
        await pilot.press("p")
        assert any(row.word == "passed" for row in screen_of(app).fleet.shown_rows)
        assert screen_of(app).apply_filter("node:n03") == ""
        assert [row.word for row in screen_of(app).fleet.shown_rows] == ["unreached"]
