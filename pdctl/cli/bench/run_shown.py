"""A run that is wholly measured, shown as it was: its inventory, its server and its trace are not needed any more."""

from __future__ import annotations

import sys
from pathlib import Path

from pdctl.bench.runs.directory import holds_run
from pdctl.bench.runs.events import BenchStarted, PointDone
from pdctl.bench.runs.read import read_run
from pdctl.bench.runs.runner import Tally
from pdctl.cli.bench.run_lines import ended
from pdctl.cli.bench.run_view import bench_view
from pdctl.cli.global_options import Globals
from pdctl.control.clock import SystemClock


def is_finished(directory: Path) -> bool:
    """Whether every point of the run there has its figures."""
    return holds_run(directory) and all(point.done is not None for point in read_run(directory).points)


def show_finished(options: Globals, directory: Path) -> int:
    """The events of a run in which nothing was left to measure. Returns the exit code."""
    run, clock, tally = read_run(directory), SystemClock(), Tally()
    definition, count = run.meta.definition, len(run.points)
    with bench_view(options, sys.stdout, clock, cluster=next(iter(definition.targets))) as emit:
        requests = sum(point.note.requests for point in run.points)
        emit(BenchStarted(str(directory), definition.driver, count, requests, len(run.done)))
        for number, point in enumerate(run.points, 1):
            if (done := point.done) is not None:
                tally.count(done.figures)
                place = (point.note.id, number, count)
                emit(PointDone(*place, done.figures, done.stretches, True, done.failures))
        emit(ended(directory, tally, 0.0))
    return tally.exit_code
