"""What the journal tells of runs that were cut off."""

from __future__ import annotations

import fcntl
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pdctl.cli.commands import events
from pdctl.control.cluster import Cluster
from pdctl.control.history import record, running_command, unfinished
from pdctl.ssh.local import LocalShell
from tests.unit.deployments import r1_2p3d


def entry(event: str, step: str, run: str = "r1") -> dict[str, Any]:
    return {"event": event, "step": step, "run": run}


def cluster_with(root: Path) -> Cluster:
    """A cluster whose lease node is this machine; nothing else of it can be asked."""
    deployment = replace(r1_2p3d(), cluster="c", state_dir=str(root))
    return cast(Cluster, SimpleNamespace(deployment=deployment, lease_shell=LocalShell("n1")))


async def test_damaged_lines_of_the_journal_are_counted_and_not_dropped_in_silence(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "journal.ndjson").write_bytes(b'{"event": "a", "ts": "x"}\n{"event\n[]\n\xff\xfe\n')
    found = await record(cluster_with(tmp_path), 10)
    assert (found.entries, found.applied, found.damaged) == (({"event": "a", "ts": "x"},), None, 3)


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff\xfe", b'{"digest": 1}'])
async def test_a_damaged_record_of_the_applied_inventory_is_explained(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "applied.json").write_bytes(damage)
    found = await record(cluster_with(tmp_path), 10)
    assert found.applied is not None
    assert "damaged" in found.applied.trouble


@pytest.mark.parametrize("ts", [None, "x", [], {}, float("nan"), 1e300, True])
def test_an_entry_with_a_damaged_time_is_still_shown(ts: object) -> None:
    assert events.line({"event": "run_started", "ts": ts}).startswith("unknown time ? [?] run_started")


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


async def test_the_command_that_has_the_lease_is_named_as_long_as_it_has_it(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    lock = tmp_path / "c" / "lease.lock"
    (tmp_path / "c" / "lease.json").write_text('{"epoch": 7, "holder": {"operator": "ops@here", "command": "move"}}')
    with lock.open("w") as held:
        assert await running_command(cluster_with(tmp_path)) == "", "it is over; what it left does not count"
        fcntl.flock(held, fcntl.LOCK_EX)
        assert await running_command(cluster_with(tmp_path)) == "move"
        with lock.open() as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
