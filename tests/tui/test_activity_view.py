"""The journal as runs."""

from __future__ import annotations

from typing import Any

import pytest

from pdctl.tui.activity_view import Outcome, RunRecord, runs


def entry(event: str, run: str = "r1", ts: object = 100.0, **fields: Any) -> dict[str, Any]:
    return {"event": event, "run": run, "ts": ts, "operator": "ann@desk", **fields}


def step(event: str, action: str = "fence", subject: str = "a.main.0", **fields: Any) -> dict[str, Any]:
    return entry(event, step=f"{action}:{subject}", action=action, subject=subject, node="a", **fields)


def ended(code: int, done: int, failed: int = 0, *, run: str = "r1", text: str = "") -> dict[str, Any]:
    counts = {"done": done, "failed": failed, "skipped": 0}
    return entry("run_ended", run, command="move", exit_code=code, took_s=9.0, text=text, **counts)


def one(*entries: dict[str, Any], running: frozenset[str] = frozenset()) -> RunRecord:
    (record,) = runs(entries, now_s=160.0, running=running)
    return record


def test_a_run_is_who_when_what_and_how_it_ended() -> None:
    record = one(
        entry("lease_taken", node="n1", epoch=3),
        entry("run_started", command="move", steps=2),
        step("planned"),
        step("step_started", ts=101.0, reason="to move"),
        step("step_done", ts=104.0, took_s=3.0),
        ended(0, 1, text="1 of 1 steps done"),
    )
    assert (record.operator, record.what, record.outcome) == ("ann@desk", "move a.main.0", Outcome.DONE)
    assert (record.began_s, record.took_s, record.exit_code, record.text) == (100.0, 9.0, 0, "1 of 1 steps done")
    (line,) = record.lines
    assert (line.state, line.action, line.took_s, line.text) == ("done", "fence", 3.0, "to move")


@pytest.mark.parametrize(
    ("code", "done", "outcome"),
    [(0, 3, Outcome.DONE), (0, 0, Outcome.NOTHING), (130, 2, Outcome.STOPPED), (3, 2, Outcome.PARTLY),
     (1, 0, Outcome.FAILED), (75, 0, Outcome.FAILED), (4, 0, Outcome.FAILED)],
)  # fmt: skip
def test_outcomes(code: int, done: int, outcome: Outcome) -> None:
    assert one(ended(code, done)).outcome is outcome


def test_a_failure_says_its_first_cause_and_not_its_counts() -> None:
    record = one(
        step("step_started"), step("step_failed", cause="no route", hint="is it on?"), ended(1, 0, 1, text="1 failed")
    )
    assert record.text == "a.main.0: fence: no route"
    assert (record.lines[0].state, record.lines[0].hint) == ("failed", "is it on?")


def test_the_newest_without_an_end_may_go_on_elsewhere() -> None:
    record = one(step("step_started"))
    assert (record.outcome, record.lines[0].state) == (Outcome.OPEN, "running")
    assert "its controller died" in record.text


def test_our_own_run_is_known_to_go_on() -> None:
    record = one(step("step_started"), running=frozenset({"r1"}))
    assert (record.outcome, record.took_s) == (Outcome.RUNNING, 60.0)


def test_a_run_that_was_cut_off_says_what_may_have_happened() -> None:
    newest, cut = runs([step("step_started"), ended(0, 1, run="r2")], now_s=160.0)
    assert newest.run == "r2"
    assert (cut.outcome, cut.text) == (Outcome.UNFINISHED, "fence of a.main.0 may or may not have happened")


def test_runs_that_did_nothing_are_one_line() -> None:
    first, folded = runs([*(ended(0, 0, run=f"r{number}") for number in range(5)), ended(0, 2, run="x")], now_s=0.0)
    assert (first.run, first.count) == ("x", 1)
    assert (folded.run, folded.count, folded.outcome) == ("r4", 5, Outcome.NOTHING)


def test_what_is_said_again_and_again_is_one_line() -> None:
    record = one(
        *(entry("warning", text="the clock differs", ts=100.0 + n) for n in range(3)), entry("warning", text="x")
    )
    assert [(line.text, line.count) for line in record.lines] == [("the clock differs", 3), ("x", 1)]


def test_many_subjects_are_named_in_few_words() -> None:
    record = one(*(step("planned", subject=f"{name}.main.0") for name in "abcde"), step("planned", subject="router"))
    assert record.what == "? a.main.0, b.main.0 +3"


@pytest.mark.parametrize(
    "damaged", [{}, {"event": "run_ended"}, {"event": 3, "run": None, "ts": "x"}, entry("step_done", ts=float("nan")),
                step("step_done", took_s="long"), {"run": "r", "event": "run_ended", "exit_code": "one", "done": []}],
)  # fmt: skip
def test_damaged_entries_are_shown_all_the_same(damaged: dict[str, Any]) -> None:
    assert len(runs([damaged], now_s=0.0)) == 1
