"""A run of points: what is kept when it is killed or stopped, and that going on repeats nothing."""

from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pdctl.bench.driver import Measured
from pdctl.bench.drivers.scripted import ScriptedDriver, answered
from pdctl.bench.point import Point, Target
from pdctl.bench.row import Row
from pdctl.bench.runs.events import BenchTold, PointCut, PointDone, PointFailed
from pdctl.bench.runs.point_files import PointFiles
from pdctl.bench.runs.read import read_run
from pdctl.bench.runs.row_file import RowFile
from pdctl.bench.runs.runner import Manner, Quiet, Tally
from pdctl.control.execute import Interrupt
from pdctl.errors import BenchError, UsageError
from pdctl.model.events import Event
from pdctl.model.outcome import Outcome
from pdctl.perf.workload import Asked
from tests.unit.bench_runs import opened, play, point


def indices(path: Path, number: int = 0) -> list[int]:
    return [row.index for row in read_run(path).points[number].rows()]


async def killed_at(path: Path, index: int, points: Sequence[Point]) -> None:
    """Play until request `index` is about to be sent, and then let everything end as a kill would leave it."""
    playing: list[asyncio.Task[Tally]] = []

    def kill(at: int) -> None:
        if at == index:
            playing[0].cancel()

    playing.append(asyncio.create_task(play(path, points, ScriptedDriver(before=kill))))
    with pytest.raises(asyncio.CancelledError):
        await playing[0]


async def test_every_point_has_its_rows_and_figures(tmp_path: Path) -> None:
    points = [point(), point(load="c4", concurrency=4)]
    tally = await play(tmp_path / "run", points, ScriptedDriver())
    assert (tally.measured, tally.exit_code) == (2, 0)
    run = read_run(tmp_path / "run")
    assert [each.id for each in run.points] == ["server/16-4/c2/s0", "server/16-4/c4/s0"]
    first = run.points[0]
    assert list(first.rows()) == [answered(index, Asked(0.0, 16, 4)) for index in range(10)]
    assert first.figures is not None
    assert first.figures.ttft is not None
    assert first.figures.ttft.median_s == pytest.approx(0.1)
    assert first.figures.goodput is not None
    assert (first.figures.goodput.met, first.figures.goodput.offered) == (10, 10)
    assert first.figures.tpsg == pytest.approx(first.figures.tps_out / 4)
    table = list(csv.DictReader((tmp_path / "run" / "figures.csv").read_text().splitlines()))
    assert [line["load"] for line in table] == ["c2", "c4"]
    assert float(table[0]["ttft_median_s"]) == pytest.approx(0.1)
    told = json.loads((tmp_path / "run" / "figures.json").read_text())
    assert [each["point"] for each in told["points"]] == [each.id for each in run.points]


async def test_a_killed_run_goes_on_with_the_requests_that_have_no_row(tmp_path: Path) -> None:
    path, points = tmp_path / "run", [point(20, gap_s=1.0, concurrency=None), point(5, load="c4")]
    await killed_at(path, 12, points)
    before = indices(path)
    assert 10 <= len(before) < 20
    driver, events = ScriptedDriver(), list[Event]()
    tally = await play(path, points, driver, events=events)
    assert tally.exit_code == 0
    assert sorted(indices(path)) == list(range(20))
    assert driver.sent[: 20 - len(before)] == [index for index in range(20) if index not in before]
    done = read_run(path).points[0]
    assert done.figures is not None
    assert "measured in 2 stretches" in done.figures.warnings
    stretches = [stored.stretch for stored in done.files.rows()]
    assert stretches == [0] * len(before) + [1] * (20 - len(before))
    # The second stretch begins where the rows of the first ended: nothing of the gap between them counts.
    rows = list(done.rows())
    assert rows[len(before)].at_s == pytest.approx(rows[len(before) - 1].sent_s + rows[len(before) - 1].e2el_s)
    assert done.figures.duration_s == pytest.approx(rows[-1].sent_s + rows[-1].e2el_s)


async def test_what_is_done_is_not_measured_again(tmp_path: Path) -> None:
    path, points = tmp_path / "run", [point(), point(load="c4")]
    await play(path, points, ScriptedDriver())
    driver, events = ScriptedDriver(), list[Event]()
    tally = await play(path, points, driver, events=events)
    assert driver.sent == []
    assert tally.exit_code == 0
    assert [event.earlier for event in events if isinstance(event, PointDone)] == [True, True]


async def test_a_torn_last_row_is_dropped_and_told(tmp_path: Path) -> None:
    path, points = tmp_path / "run", [point(20)]
    await killed_at(path, 12, points)
    rows = path / "points" / points[0].id / "rows.jsonl"
    rows.write_bytes(rows.read_bytes()[:-20])
    whole = len(indices(path))
    events: list[Event] = []
    await play(path, points, ScriptedDriver(), events=events)
    assert [event.text for event in events if isinstance(event, BenchTold) and "torn" in event.text]
    assert sorted(indices(path)) == list(range(20))
    assert whole < 13


async def test_anew_keeps_the_old_rows_and_measures_from_the_start(tmp_path: Path) -> None:
    path, points = tmp_path / "run", [point(20)]
    await killed_at(path, 12, points)
    driver = ScriptedDriver()
    await play(path, points, driver, manner=Manner(anew=True))
    assert driver.sent == list(range(20))
    files = read_run(path).points[0].files
    assert (files.directory / "rows.cut-1.jsonl").stat().st_size > 0
    done = files.done()
    assert done is not None
    assert done.stretches == 1


async def test_a_driver_that_plays_whole_points_only_measures_a_cut_one_anew(tmp_path: Path) -> None:
    path, points = tmp_path / "run", [point(20)]
    await killed_at(path, 12, points)
    driver = ScriptedDriver()
    await play(path, points, driver, manner=Manner(goes_on=False))
    assert driver.sent == list(range(20))
    assert sorted(indices(path)) == list(range(20))


async def test_an_interrupt_stops_sending_and_the_rest_is_measured_later(tmp_path: Path) -> None:
    path, points = tmp_path / "run", [point(20), point(5, load="c4")]
    interrupt, events = Interrupt(), list[Event]()

    def ask(index: int) -> None:
        if index == 7:
            interrupt.ask()

    tally = await play(path, points, ScriptedDriver(before=ask), interrupt=interrupt, events=events)
    assert (tally.exit_code, tally.left) == (130, 2)
    assert [(event.ended, event.requests) for event in events if isinstance(event, PointCut)] == [(8, 20)]
    driver = ScriptedDriver()
    assert (await play(path, points, driver)).exit_code == 0
    assert driver.sent == [*range(8, 20), *range(5)]


async def test_a_second_interrupt_ends_what_is_in_flight(tmp_path: Path) -> None:
    interrupt = Interrupt()

    class Hangs(ScriptedDriver):
        async def run(
            self, point: Point, target: Target, *, on_row: Callable[[Row], None], stop: Callable[[], bool]
        ) -> Measured:
            interrupt.ask()
            asyncio.get_running_loop().call_soon(interrupt.ask)
            await asyncio.Event().wait()
            raise AssertionError("nobody sets it")

    tally = await asyncio.wait_for(play(tmp_path / "run", [point()], Hangs(), interrupt=interrupt), 10)
    assert tally.exit_code == 130


async def test_another_definition_is_refused_with_its_differences(tmp_path: Path) -> None:
    path = tmp_path / "run"
    await play(path, [point()], ScriptedDriver())
    with pytest.raises(UsageError, match=r"requests: was 10, now 11.*point server/16-4/c4/s0: new"):
        await play(path, [point(11), point(load="c4")], ScriptedDriver())


async def test_two_processes_never_write_one_run(tmp_path: Path) -> None:
    with opened(tmp_path / "run", [point()]), pytest.raises(BenchError, match="another process"):
        await play(tmp_path / "run", [point()], ScriptedDriver())


async def test_a_directory_of_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(BenchError, match="other files"):
        await play(tmp_path, [point()], ScriptedDriver())


async def test_a_full_disk_ends_the_run_with_its_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PointFiles, "appending", lambda self, stretch: RowFile(Path("/dev/full"), stretch=stretch))
    with pytest.raises(BenchError, match="No space left") as caught:
        await play(tmp_path / "run", [point()], ScriptedDriver())
    assert "--resume" in caught.value.hint


async def test_a_point_whose_driver_fails_is_told_and_the_next_one_measured(tmp_path: Path) -> None:
    def fail(index: int) -> None:
        if index == 15:
            raise BenchError("the tool crashed", hint="look at its log")

    events: list[Event] = []
    tally = await play(tmp_path / "run", [point(20), point(5, load="c4")], ScriptedDriver(before=fail), events=events)
    assert (tally.measured, tally.failed, tally.exit_code) == (1, 1, 3)
    assert [event.cause for event in events if isinstance(event, PointFailed)] == ["the tool crashed"]


async def test_a_stalled_point_is_not_measured(tmp_path: Path) -> None:
    events: list[Event] = []
    tally = await play(tmp_path / "run", [point()], ScriptedDriver(stall="no token for 120 s"), events=events)
    assert tally.exit_code == 1
    assert [event.cause for event in events if isinstance(event, PointFailed)] == ["no token for 120 s"]


async def test_a_point_without_any_answer_counts_as_failed(tmp_path: Path) -> None:
    def aborted(index: int, asked: Asked) -> Row:
        return replace(answered(index, asked), outcome=Outcome.ABORTED)

    tally = await play(tmp_path / "run", [point()], ScriptedDriver(aborted))
    assert tally.exit_code == 1
    figures = read_run(tmp_path / "run").points[0].figures
    assert figures is not None
    assert figures.counts.aborted == 10


async def test_changed_rows_lose_their_figures(tmp_path: Path) -> None:
    path, points = tmp_path / "run", [point()]
    await play(path, points, ScriptedDriver())
    rows = path / "points" / points[0].id / "rows.jsonl"
    rows.write_text("".join(rows.read_text().splitlines(keepends=True)[:5]))
    assert read_run(path).points[0].figures is None


async def test_a_newer_directory_is_refused(tmp_path: Path) -> None:
    await play(tmp_path / "run", [point()], ScriptedDriver())
    meta = tmp_path / "run" / "run.json"
    meta.write_text(meta.read_text().replace('"schema": 1', '"schema": 2'))
    with pytest.raises(BenchError, match="schema 2"):
        read_run(tmp_path / "run")


async def test_a_server_that_went_away_ends_the_run_and_its_point_is_measured_anew(tmp_path: Path) -> None:
    """What the dead server's refusals come to is no measurement, and no later point is burnt on it."""
    path, points = tmp_path / "run", [point(5), point(10, load="c4"), point(5, load="c8")]

    def dies(index: int, asked: Asked) -> Row:
        row = answered(index, asked)
        return row if index < 5 else replace(row, outcome=Outcome.REFUSED, status=None, refusal="no connection")

    async def silence(deployment: str, rows: Sequence[Row], more: bool) -> Quiet | None:
        return None if rows[-1].ok else Quiet("no connection", heard=False)

    events: list[Event] = []
    tally = await play(path, points, ScriptedDriver(dies), events=events, silence=silence)
    assert (tally.measured, tally.failed, tally.left, tally.exit_code) == (1, 1, 1, 3)
    [failed] = [event for event in events if isinstance(event, PointFailed)]
    assert failed.point == points[1].id
    assert "no connection" in failed.cause
    driver = ScriptedDriver()
    tally = await play(path, points, driver, silence=silence)
    assert tally.exit_code == 0
    assert sorted(driver.sent) == sorted([*range(10), *range(5)])
    assert [each.figures.counts.failed for each in read_run(path).points if each.figures] == [0, 0, 0]


async def test_a_server_that_is_back_is_measured_on(tmp_path: Path) -> None:
    def refused(index: int, asked: Asked) -> Row:
        row = answered(index, asked)
        return row if index < 5 else replace(row, outcome=Outcome.REFUSED, status=None, refusal="no connection")

    async def silence(deployment: str, rows: Sequence[Row], more: bool) -> Quiet | None:
        return None

    tally = await play(tmp_path / "run", [point(10), point(5, load="c4")], ScriptedDriver(refused), silence=silence)
    assert (tally.measured, tally.left, tally.exit_code) == (2, 0, 0)


async def test_a_server_that_answers_nothing_whole_keeps_its_figures_and_ends_the_run(tmp_path: Path) -> None:
    def aborted(index: int, asked: Asked) -> Row:
        return replace(answered(index, asked), outcome=Outcome.ABORTED)

    async def silence(deployment: str, rows: Sequence[Row], more: bool) -> Quiet | None:
        return Quiet("HTTP 503", heard=True)

    path = tmp_path / "run"
    tally = await play(path, [point(), point(load="c4")], ScriptedDriver(aborted), silence=silence)
    assert (tally.failed, tally.unanswered, tally.left, tally.exit_code) == (1, 1, 1, 1)
    first, second = read_run(path).points
    assert first.figures is not None and first.figures.counts.aborted == 10
    assert second.figures is None


async def test_points_that_are_left_behind_a_lost_server_are_never_an_exit_of_0(tmp_path: Path) -> None:
    async def silence(deployment: str, rows: Sequence[Row], more: bool) -> Quiet | None:
        return Quiet("HTTP 503", heard=True)

    tally = await play(tmp_path / "run", [point(), point(load="c4")], ScriptedDriver(), silence=silence)
    assert (tally.measured, tally.failed, tally.left, tally.exit_code) == (1, 0, 1, 3)
