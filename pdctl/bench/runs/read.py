"""A run that was measured, or is being measured: for reports, comparisons, and whoever traces a figure to its rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pdctl.bench.figures.figures import Figures
from pdctl.bench.row import Row
from pdctl.bench.runs.definition import PointNote, TargetNote
from pdctl.bench.runs.meta import RunMeta, read_meta
from pdctl.bench.runs.point_files import Done, PointFiles, Stretch


@dataclass(frozen=True, slots=True)
class ReadPoint:
    """One point of a run. `done` None: it was not (wholly) measured; its rows so far are there all the same."""

    note: PointNote
    files: PointFiles
    done: Done | None

    @property
    def id(self) -> str:
        return self.note.id

    @property
    def figures(self) -> Figures | None:
        return None if self.done is None else self.done.figures

    @property
    def stretches(self) -> tuple[Stretch, ...]:
        return tuple(self.files.stretches())

    def rows(self) -> Iterator[Row]:
        """One at a time, in the order in which they ended. Raises BenchError for a line that is no row."""
        return (stored.row for stored in self.files.rows())


@dataclass(frozen=True, slots=True)
class Run:
    """What lies in a run's directory."""

    path: Path
    meta: RunMeta
    points: tuple[ReadPoint, ...]

    @property
    def done(self) -> tuple[ReadPoint, ...]:
        """The points that have figures."""
        return tuple(point for point in self.points if point.done is not None)

    def target(self, point: ReadPoint) -> TargetNote:
        """What the point was measured against."""
        return self.meta.definition.targets[point.note.deployment]


def read_run(path: Path) -> Run:
    """Every point that the run defines, in its order. Changes nothing, and needs no lock.

    Raises BenchError where no run lies at `path`, or one that this pdctl cannot read.
    """
    meta = read_meta(path)
    found = []
    for note in meta.definition.points:
        files = PointFiles(path / "points" / note.id)
        found.append(ReadPoint(note, files, files.done()))
    return Run(path, meta, tuple(found))
