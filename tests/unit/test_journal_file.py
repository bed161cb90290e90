"""The journal on the lease node: bounded, whole lines only, and honest about a disk that is full (row 8)."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from pdctl.cli.commands.events import chooser
from pdctl.control import lease_on_node
from pdctl.control.cluster import Cluster
from pdctl.control.history import added, record
from pdctl.control.lease import take_lease
from pdctl.control.lease_on_node import JOURNAL_FILES, Journal
from pdctl.errors import NodeError
from pdctl.ssh.local import LocalShell
from tests.unit.deployments import r1_2p3d

CLUSTER = "t"


def cluster_with(root: Path, name: str) -> Cluster:
    """A cluster whose lease node is this machine; nothing else of it can be asked."""
    deployment = replace(r1_2p3d(), cluster=name, state_dir=str(root))
    return cast(Cluster, SimpleNamespace(deployment=deployment, lease_shell=LocalShell("n1")))


def files(root: Path) -> list[Path]:
    """Oldest first."""
    return sorted(root.glob("journal*.ndjson"), key=lambda path: -int("0" + "".join(filter(str.isdigit, path.name))))


def numbers(root: Path) -> list[int]:
    return [json.loads(line)["number"] for path in files(root) for line in path.read_text().splitlines()]


def test_it_rotates_and_what_is_kept_is_the_newest_without_a_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_on_node, "JOURNAL_BYTES", 1000)
    journal = Journal(str(tmp_path))
    for number in range(1000):
        journal.append({"number": number, "text": "x" * 50})
    kept = numbers(tmp_path)
    assert kept == list(range(kept[0], 1000))
    assert len(files(tmp_path)) in (JOURNAL_FILES, JOURNAL_FILES + 1)
    assert sum(path.stat().st_size for path in files(tmp_path)) <= (JOURNAL_FILES + 1) * 1100


def test_an_entry_that_does_not_fit_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(str(tmp_path))
    journal.append({"number": 1})
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:5]))
    with pytest.raises(OSError, match="No space left"):
        journal.append({"number": 2})
    monkeypatch.undo()
    journal.append({"number": 3})
    assert numbers(tmp_path) == [1, 3]


async def test_a_full_disk_is_told_and_the_lease_lives_on(tmp_path: Path) -> None:
    directory = tmp_path / CLUSTER
    directory.mkdir()
    journal = directory / "journal.ndjson"
    journal.symlink_to("/dev/full")
    async with take_lease(LocalShell("n1"), str(tmp_path), CLUSTER, "up") as held:
        with pytest.raises(NodeError, match="n1: its record of this cluster cannot be written: no space left") as full:
            await held.journal({"number": 1})
        assert "make room" in full.value.hint
        journal.unlink()
        await held.journal({"number": 2})
    assert numbers(directory) == [2]


async def test_what_was_rotated_away_is_still_read_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_on_node, "JOURNAL_BYTES", 300)
    directory = tmp_path / CLUSTER
    directory.mkdir()
    journal = Journal(str(directory))
    for number in range(400):
        journal.append({"number": number})
    kept = numbers(directory)
    assert 15 < len(kept) < 400
    found = (await record(cluster_with(tmp_path, CLUSTER), 1000)).entries
    assert [entry["number"] for entry in found] == kept
    last = (await record(cluster_with(tmp_path, CLUSTER), 15)).entries
    assert [entry["number"] for entry in last] == kept[-15:]


def test_what_was_added_is_what_follows_the_last_entry_that_was_shown() -> None:
    entries = [{"number": number} for number in (1, 2, 2, 3)]
    assert added(entries, {"number": 1}) == entries[1:]
    assert added(entries, {"number": 2}) == entries[3:]
    assert added(entries, {"number": 3}) == []
    assert added(entries, {"number": 9}) == entries
    assert added(entries, None) == entries


def test_entries_are_chosen_by_age_and_by_run() -> None:
    old, new = {"ts": 5.0, "run": "abc"}, {"ts": 50.0, "run": "abd"}
    damaged = {"ts": "x"}
    assert [chooser(10.0, None)(entry) for entry in (old, new, damaged)] == [False, True, True]
    assert [chooser(None, "abd")(entry) for entry in (old, new, damaged)] == [False, True, False]
    assert [chooser(None, "ab")(entry) for entry in (old, new, damaged)] == [True, True, False]
