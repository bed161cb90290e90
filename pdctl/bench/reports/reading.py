"""Directories of runs -> what a report is made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pdctl.bench.figures.figures import Criterion
from pdctl.bench.reports.entry import DEFAULT_SLO, Entry, Origin, Report
from pdctl.bench.reports.request import requests
from pdctl.bench.runs.read import ReadPoint, Run, read_run
from pdctl.errors import BenchError
from pdctl.model.deployment import Slo


def read_report(directories: Sequence[Path], *, slo: Slo | None = None, criterion: Criterion | None = None) -> Report:
    """All points of the runs that are wholly measured. Without `slo` or `criterion` those of the first run count.

    A deployment that several runs measured is told apart by the runs' directories. Raises BenchError: no run lies
    there, or nothing of it was measured.
    """
    return report_of([read_run(path) for path in directories], slo=slo, criterion=criterion)


def report_of(runs: Sequence[Run], *, slo: Slo | None = None, criterion: Criterion | None = None) -> Report:
    """The report over those runs; see `read_report`."""
    if not any(run.done for run in runs):
        where = ", ".join(str(run.path) for run in runs)
        raise BenchError(
            f"nothing was wholly measured in {where}", hint="`pdctl bench run --resume DIR` goes on with it"
        )
    first = runs[0].meta.definition
    measured_in = Counter(name for run in runs for name in {point.note.deployment for point in run.done})
    entries = tuple(_entry(run, point, measured_in[point.note.deployment] > 1) for run in runs for point in run.done)
    unmeasured = tuple(point.id for run in runs for point in run.points if point.done is None)
    return Report(
        entries,
        slo or first.slo or DEFAULT_SLO,
        criterion or first.criterion,
        {str(run.path): run.meta for run in runs},
        unmeasured,
    )


def _entry(run: Run, point: ReadPoint, with_run: bool) -> Entry:
    note, done = point.note, point.done
    assert done is not None
    return Entry(
        note,
        f"{note.deployment} ({run.path.resolve().name})" if with_run else note.deployment,
        done.figures,
        requests(point.rows(), run.meta.definition.counted_from),
        Origin(str(point.files.rows_path), done.rows_sha256),
        run.target(point).gpus,
    )
