"""`pdctl replay` shows what there is, in its time, and does not sit through hours that nobody recorded."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from pdctl.cli.commands.replay import _played
from pdctl.telemetry.recording import Recorder, Recording
from tests.unit.telemetry.snapshots import WALL_S, served


async def test_a_gap_in_a_recording_is_no_wait_of_hours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(tmp_path / "r.db", "demo")
    for taken_s in (0.0, 1.0, 3 * 3600.0, 3 * 3600.0 + 10.0):
        recorder.add(replace(served(), taken_s=WALL_S + taken_s))
    recorder.close()
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    recording = Recording(tmp_path / "r.db")
    shown = [snapshot.taken_s async for snapshot in _played(recording, 0, 2.0, None)]
    recording.close()
    assert len(shown) == 4
    assert slept == pytest.approx([0.5, 5.0, 5.0])
