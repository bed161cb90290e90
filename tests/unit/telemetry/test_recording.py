"""Recordings give back what went in, by time; they stay small; other files are told apart."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdctl.errors import UsageError
from pdctl.model.snapshot import Snapshot, Source
from pdctl.telemetry.blocks import pack, unpack
from pdctl.telemetry.recording import Limits, Recorder, Recording
from tests.unit.telemetry.snapshots import WALL_S, served

BLOCK = 6
SERVED = served(3)
SMALL = Limits(block=BLOCK)

leaves = st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=4)
documents = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3)
)


def at(snapshot: Snapshot, second: float) -> Snapshot:
    return replace(snapshot, seq=int(second), taken_s=WALL_S + second)


def record(path: Path, seconds: Sequence[int], limits: Limits = SMALL) -> None:
    recorder, snapshot = Recorder(path, "demo", limits), SERVED
    for second in seconds:
        recorder.add(at(snapshot, second))
    recorder.close()


@given(st.lists(documents, min_size=1, max_size=8))
def test_any_documents_survive_a_block(many: list[object]) -> None:
    assert unpack(pack(many), len(many)) == many


def test_numbers_keep_four_digits_and_wall_clock_times_all() -> None:
    (back,) = unpack(pack([{"value": 123456.789, "taken_s": 1_700_000_000.123, "age_s": 0.4567}]), 1)
    assert back == {"value": 123500.0, "taken_s": 1_700_000_000.123, "age_s": 0.5}


@pytest.mark.parametrize("seconds", [1, BLOCK - 1, BLOCK, 3 * BLOCK + 5])
def test_what_was_recorded_is_read_back_in_order_and_marked_as_a_recording(tmp_path: Path, seconds: int) -> None:
    record(tmp_path / "r.db", range(seconds))
    recording = Recording(tmp_path / "r.db")
    found = list(recording.since())
    assert [snapshot.seq for snapshot in found] == list(range(seconds))
    assert {snapshot.source for snapshot in found} == {Source.RECORDING}
    assert found[-1].pools.keys() == {"prefill", "decode"}
    recording.close()


def test_seeking_finds_the_snapshot_that_stood_then(tmp_path: Path) -> None:
    record(tmp_path / "r.db", range(0, 50, 2))
    recording = Recording(tmp_path / "r.db")
    assert recording.snapshot(recording.at(WALL_S + 21.0)).seq == 20
    assert recording.snapshot(recording.at(WALL_S - 5.0)).seq == 0
    assert recording.snapshot(recording.at(WALL_S + 1e6)).seq == 48
    recording.close()


def test_a_recorder_that_was_killed_lost_nothing(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r.db", "demo", SMALL)
    for second in range(BLOCK + 7):
        recorder.add(at(SERVED, second))
    recording = Recording(tmp_path / "r.db")  # the recorder is not closed
    assert len(recording) == BLOCK + 7
    recording.close()
    recorder.close()


def test_recording_goes_on_in_the_same_file(tmp_path: Path) -> None:
    record(tmp_path / "r.db", range(10))
    record(tmp_path / "r.db", range(10, 20))
    recording = Recording(tmp_path / "r.db")
    assert [snapshot.seq for snapshot in recording.since()] == list(range(20))
    recording.close()


def test_what_is_older_than_the_fine_time_keeps_every_third_second(tmp_path: Path) -> None:
    record(tmp_path / "r.db", range(14 * BLOCK), Limits(fine_s=2 * BLOCK, coarse_s=3.0, block=BLOCK))
    recording = Recording(tmp_path / "r.db")
    gaps = [later - sooner for sooner, later in zip(recording.times, recording.times[1:], strict=False)]
    assert set(gaps[-2 * BLOCK :]) == {1.0}
    assert sum(gap == 3.0 for gap in gaps) >= 10
    assert recording.times[0] == WALL_S
    recording.close()


def test_a_recording_never_outgrows_its_limit(tmp_path: Path) -> None:
    record(tmp_path / "r.db", range(8 * BLOCK), Limits(max_bytes=8_000, block=BLOCK))
    recording = Recording(tmp_path / "r.db")
    assert 0 < len(recording) < 8 * BLOCK
    assert recording.times[-1] == WALL_S + 8 * BLOCK - 1
    recording.close()
    assert (tmp_path / "r.db").stat().st_size < 120_000


def test_other_files_are_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello " * 1000)
    base = sqlite3.connect(tmp_path / "other.db")
    base.execute("CREATE TABLE mine (x)")
    base.commit()
    base.close()
    record(tmp_path / "r.db", range(1))
    for name in ("notes.txt", "other.db", "missing.db"):
        with pytest.raises(UsageError):
            Recording(tmp_path / name)
    for name in ("notes.txt", "other.db"):
        with pytest.raises(UsageError):
            Recorder(tmp_path / name, "demo")
    with pytest.raises(UsageError, match="recording of demo"):
        Recorder(tmp_path / "r.db", "another")
    assert (tmp_path / "notes.txt").read_text() == "hello " * 1000


def test_a_file_has_one_writer_and_is_free_again_after_it(tmp_path: Path) -> None:
    first = Recorder(tmp_path / "r.db", "demo", SMALL)
    with pytest.raises(UsageError, match="recorded to already"):
        Recorder(tmp_path / "r.db", "demo", SMALL)
    first.add(at(SERVED, 0))
    first.close()
    record(tmp_path / "r.db", range(1, 3))
    recording = Recording(tmp_path / "r.db")
    assert len(recording) == 3
    recording.close()


def test_a_clock_that_was_set_back_leaves_times_in_order_and_every_snapshot_to_be_found(tmp_path: Path) -> None:
    seconds = [*range(100, 100 + BLOCK), *range(95, 95 + BLOCK + 3)]
    record(tmp_path / "r.db", seconds)
    recording = Recording(tmp_path / "r.db")
    assert list(recording.times) == sorted(WALL_S + second for second in seconds)
    assert [snapshot.taken_s for snapshot in recording.since()] == list(recording.times)
    assert recording.snapshot(recording.at(WALL_S + 96.5)).taken_s == WALL_S + 96
    recording.close()


def test_a_replay_goes_on_while_its_recorder_folds(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r.db", "demo", SMALL)
    for second in range(BLOCK - 1):
        recorder.add(at(SERVED, second))
    recording = Recording(tmp_path / "r.db")
    recorder.add(at(SERVED, BLOCK - 1))
    assert [snapshot.seq for snapshot in recording.since()] == list(range(BLOCK - 1))
    recording.close()
    recorder.close()


def test_a_disk_that_is_full_is_said_so_and_what_was_recorded_stays(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r.db", "demo", SMALL)
    recorder.add(at(SERVED, 0))
    pages = recorder._base.execute("PRAGMA page_count").fetchone()[0]
    recorder._base.execute(f"PRAGMA max_page_count = {pages}")  # SQLite's own "database or disk is full"

    def fill() -> None:
        for second in range(1, 50):
            recorder.add(at(SERVED, second))

    with pytest.raises(UsageError, match="disk is full"):
        fill()
    recorder.close()
    recording = Recording(tmp_path / "r.db")
    assert recording.snapshot(0).seq == 0
    recording.close()


def test_names_with_signs_that_mean_something_in_addresses_are_opened(tmp_path: Path) -> None:
    record(tmp_path / "50%?#.db", range(2))
    recording = Recording(tmp_path / "50%?#.db")
    assert len(recording) == 2
    recording.close()
