"""Plays points in order, each into its files; what was measured before is not measured again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pdctl.bench.driver import Driver
from pdctl.bench.figures.figures import Figures
from pdctl.bench.figures.measure import figures
from pdctl.bench.point import Point, Target
from pdctl.bench.row import Row
from pdctl.bench.runs.definition import PointNote, note_point
from pdctl.bench.runs.directory import RunDirectory
from pdctl.bench.runs.estimate import Pace, eta_s, run_eta_s
from pdctl.bench.runs.events import BenchTold, PointCut, PointDone, PointFailed, PointStarted, Progress
from pdctl.bench.runs.figure_files import as_csv, as_json
from pdctl.bench.runs.point_files import Done, PointFiles, Stretch
from pdctl.bench.runs.read import read_run
from pdctl.bench.runs.remaining import remaining, spent_s
from pdctl.bench.runs.row_codec import StoredRow
from pdctl.bench.runs.stretch import Count, Ran, Stop, StretchRunner, ToolProgress, unsent
from pdctl.control.clock import Clock, utc
from pdctl.errors import PdctlError
from pdctl.model.events import Event

Listener = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Quiet:
    """`cause`: why not even a small request is answered whole. `heard`: it answers something all the same, so what was
    measured is how it fails."""

    cause: str
    heard: bool


Silence = Callable[[str, Sequence[Row], bool], Awaitable[Quiet | None]]
"""Told a deployment, a point's rows, and whether there are later points; None where it serves."""
_SILENT = "nothing answered any more"
_LATE_S = 0.005
_CAUSES_NAMED = 5
_STAMP = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class Manner:
    """`anew`: points that were cut, or in which no request was answered, are measured from the start. `goes_on`: the
    driver can send a part of a point (external tools cannot: they measure a cut point anew)."""

    anew: bool = False
    goes_on: bool = True
    progress_s: float = 1.0


@dataclass(slots=True)
class Tally:
    """Points. `measured` have figures of at least one answer; `left` were stopped, or not begun. `unanswered`: those of
    `failed` that have figures, of no answer at all. `lost`: points are left because nothing answers any more."""

    measured: int = 0
    failed: int = 0
    left: int = 0
    unanswered: int = 0
    lost: bool = False

    def count(self, found: Figures) -> None:
        """One more point with figures."""
        if found.counts.ok:
            self.measured += 1
        else:
            self.failed += 1
            self.unanswered += 1

    @property
    def exit_code(self) -> int:
        """0 all measured, 1 none, 3 some, 130 stopped by the operator."""
        if self.left and not self.lost:
            return 130
        if not self.failed and not self.left:
            return 0
        return 3 if self.measured else 1


@dataclass(slots=True)
class Player:
    """Plays points of `run` against `targets` (by deployment). What ends without figures is told, not raised.

    Numbers in events count all points of the run, so that several calls of `play`, one for each deployment, read as
    one run. `silence` (None: nobody asks) ends a call of `play` after the first point at whose end nothing serves any
    more; where nothing answers at all that point has no figures, and is measured anew when the run goes on.
    """

    run: RunDirectory
    driver: Driver
    targets: Mapping[str, Target]
    emit: Listener
    stop: Stop
    clock: Clock
    manner: Manner = Manner()
    tally: Tally = field(default_factory=Tally)
    tool: ToolProgress = field(default_factory=ToolProgress)
    silence: Silence | None = None
    _numbers: dict[str, int] = field(default_factory=dict)
    _measured: dict[str, tuple[PointNote, Figures]] = field(default_factory=dict)
    _paces: dict[str, Pace] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises BenchError where what lies in the directory cannot be read."""
        for number, point in enumerate(read_run(self.run.path).points, 1):
            self._numbers[point.id] = number
            if point.figures is not None:
                self._remember(point.note, point.figures)

    async def play(self, points: Sequence[Point]) -> Tally:
        """Measure what is not measured yet. Raises BenchError where the run's files cannot be read or written."""
        for position, point in enumerate(points):
            if self.stop.asked.is_set():
                self.tally.left += len(points) - position
                break
            if not await self._point(point, points[position + 1 :]):
                self.tally.left += len(points) - position - 1
                self.tally.lost = True
                break
        return self.tally

    async def _point(self, point: Point, later: Sequence[Point]) -> bool:
        """Whether the next one is worth a try."""
        files = self.run.point(point.id)
        done = files.done()
        if done is not None and (done.figures.counts.ok or not self.manner.anew):
            self.tally.count(done.figures)
            self.emit(PointDone(point.id, *self._place(point), done.figures, done.stretches, True, done.failures))
            return True
        stored = self._begin(point, files)
        stretches = list(files.stretches()) if stored else []
        offset_s = spent_s(stretches, stored)
        if stretches and stretches[-1].took_s is None:
            stretches[-1] = replace(stretches[-1], took_s=offset_s - stretches[-1].offset_s, ended="killed")
        rest = remaining(point, {each.row.index for each in stored}, offset_s) if stored else point
        if not rest.workload.asked or rest.duration_s == 0:
            self._finish(point, files, took_s=offset_s, stretches=max(1, len(stretches)), ran=None)
            return True
        stretches.append(Stretch(utc(self.clock.time(), _STAMP), offset_s))
        files.set_stretches(stretches)
        asked, left = len(point.workload.asked), len(rest.workload.asked)
        self.emit(PointStarted(point.id, *self._place(point), asked, left, len(stretches) - 1, rest.duration_s))
        ran = await self._stretch(point, rest, files, stored, len(stretches) - 1, offset_s, later)
        return ran is None or await self._ended(point, files, ran, offset_s, len(stretches), bool(later))

    def _begin(self, point: Point, files: PointFiles) -> list[StoredRow]:
        """What was measured before, mended; nothing where it shall be measured anew."""
        before = files.stretches()
        silent = bool(before) and before[-1].ended == _SILENT
        if self.manner.anew or silent or not self.manner.goes_on:
            if (aside := files.put_aside()) is not None:
                self.emit(BenchTold(f"{point.id}: measured anew; what was there is kept as {aside.name}"))
        elif files.mend():
            self.emit(BenchTold(f"{point.id}: the last row was torn when the run was killed, and is dropped"))
        files.begin(note_point(point))
        return list(files.rows())

    async def _stretch(
        self,
        point: Point,
        rest: Point,
        files: PointFiles,
        stored: Sequence[StoredRow],
        number: int,
        offset_s: float,
        later: Sequence[Point],
    ) -> Ran | None:
        """None, and told, where the driver could not run."""
        count = Count()
        for each in stored:
            count.add(each.row)

        def tick(here_s: float | None) -> None:
            here = max(count.here, self.tool.done)
            this_s = None if here_s is None else eta_s(rest, ended=here, elapsed_s=here_s)
            paces = [(each, self._paces.get(each.scenario)) for each in later]
            so_far = (len(stored) + here, len(point.workload.asked), count.ok, count.failed)
            times = (None if here_s is None else offset_s + here_s, this_s, run_eta_s(this_s, paces))
            self.emit(Progress(point.id, *self._place(point), *so_far, *times, point.duration_s))

        runner = StretchRunner(self.driver, self.clock, self.stop, self.manner.progress_s, self.tool)
        with files.appending(number) as out:
            try:
                return await runner.run(
                    rest, self.targets[point.deployment], out, offset_s=offset_s, count=count, tick=tick
                )
            except PdctlError as error:
                if out.broken:  # no later point could be written either
                    raise
                files.end_stretch(None, error.message)
                self._failed(point, error.message, error.hint)
                return None

    async def _ended(
        self, point: Point, files: PointFiles, ran: Ran, offset_s: float, stretches: int, more: bool
    ) -> bool:
        """Whether there is still something that serves."""
        measured = ran.measured
        cut = measured is None or measured.stopped
        stall = measured.stall if measured is not None else ""
        quiet = None if cut and not stall else await self._quiet(point, files, more)
        silent = quiet is not None and not quiet.heard
        files.end_stretch(ran.took_s, _SILENT if silent else "interrupted" if cut else stall)
        if quiet is not None and silent:
            hint = "bring it back; --resume then measures this point anew, and those that are left"
            self._failed(point, f"{stall or 'its last requests failed'}, and {_SILENT}: {quiet.cause}", hint)
        elif stall:
            hint = "--resume sends what was not sent, --resume --anew measures the point from its start"
            self._failed(point, stall, hint)
        elif cut:
            ended = sum(1 for _ in files.rows())
            self.tally.left += 1
            self.emit(PointCut(point.id, *self._place(point), ended, len(point.workload.asked)))
        else:
            self._finish(point, files, took_s=offset_s + ran.took_s, stretches=stretches, ran=ran)
        if quiet is not None and quiet.heard:
            self.emit(BenchTold(f"{quiet.cause}: later points would fail alike, and are not sent"))
        return quiet is None

    async def _quiet(self, point: Point, files: PointFiles, more: bool) -> Quiet | None:
        if self.silence is None:
            return None
        return await self.silence(point.deployment, [stored.row for stored in files.rows()], more)

    def _finish(self, point: Point, files: PointFiles, *, took_s: float, stretches: int, ran: Ran | None) -> None:
        """Figures, from the rows as they lie in the file."""
        rows = [stored.row for stored in files.rows()]
        target, definition = self.targets[point.deployment], self.run.meta.definition
        found = figures(
            rows,
            took_s,
            slo=definition.slo,
            criterion=definition.criterion,
            gpus=target.gpus,
            usd_per_hour=target.usd_per_hour,
            counted_from=definition.counted_from,
        )
        notes = [f"measured in {stretches} stretches"] if stretches > 1 else []
        lag_p99_s = ran.measured.lag_p99_s if ran is not None and ran.measured is not None else None
        if lag_p99_s is not None and lag_p99_s > _LATE_S:
            notes.append(f"this machine was late by {lag_p99_s * 1e3:.0f} ms (p99): latencies have that much added")
        missing = unsent(point, rows)
        if missing and point.duration_s is None:
            notes.append(f"{missing} of {len(point.workload.asked)} requests have no row")
        found = replace(found, warnings=(*found.warnings, *notes))
        finished = utc(self.clock.time(), _STAMP)
        causes = _causes(rows)
        done = Done(
            found, len(point.workload.asked), len(rows), files.rows_sha256(), finished, stretches, lag_p99_s, causes
        )
        files.finish(done, ran.measured.raw if ran is not None and ran.measured is not None else {})
        self._remember(note_point(point), found)
        self._write_tables()
        self.tally.count(found)
        self.emit(PointDone(point.id, *self._place(point), found, stretches, failures=causes))

    def _failed(self, point: Point, cause: str, hint: str) -> None:
        self.tally.failed += 1
        self.emit(PointFailed(point.id, *self._place(point), cause, hint))

    def _remember(self, note: PointNote, found: Figures) -> None:
        self._measured[note.id] = (note, found)
        if found.e2el is not None:
            self._paces[note.scenario] = Pace(found.e2el.mean_s)

    def _write_tables(self) -> None:
        in_order = [self._measured[name] for name in self._numbers if name in self._measured]
        self.run.write("figures.csv", as_csv(in_order))
        self.run.write("figures.json", as_json(in_order))

    def _place(self, point: Point) -> tuple[int, int]:
        """(number of the point, number of points)."""
        return self._numbers[point.id], len(self._numbers)


def _causes(rows: Sequence[Row]) -> tuple[tuple[str, int], ...]:
    """Why requests failed, the commonest causes first."""
    causes = Counter(f"{row.outcome.value}: {row.refusal or row.error}" for row in rows if not row.ok)
    return tuple(causes.most_common(_CAUSES_NAMED))
