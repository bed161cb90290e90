"""What the journal tells of runs that were cut off."""

from __future__ import annotations

from typing import Any

import pytest

from pdctl.control.history import unfinished


def entry(event: str, step: str, run: str = "r1") -> dict[str, Any]:
    return {"event": event, "step": step, "run": run}


@pytest.mark.parametrize("end", ["step_done", "step_failed", "step_skipped"])
def test_a_step_that_ended_is_finished(end: str) -> None:
    assert unfinished([entry("step_started", "start:a"), entry(end, "start:a")]) == []


def test_a_step_without_an_end_is_unfinished_although_another_run_did_it() -> None:
    entries = [
        entry("step_started", "start:a"),
        entry("step_started", "start:b"),
        entry("step_done", "start:b"),
        entry("step_started", "start:a", run="r2"),
        entry("step_done", "start:a", run="r2"),
    ]
    assert unfinished(entries) == [entries[0]]


def test_an_end_whose_start_is_older_than_what_was_read_is_nothing() -> None:
    assert unfinished([entry("step_done", "start:a"), {"event": "run_ended"}, {}]) == []
