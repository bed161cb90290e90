"""A small report made up for tests: one deployment that keeps its targets, and one that misses them in every way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pdctl.bench.figures.measure import figures
from pdctl.bench.point import Point
from pdctl.bench.row import Row
from pdctl.bench.runs.definition import TargetNote, define, note_point
from pdctl.bench.runs.directory import open_run
from pdctl.bench.runs.meta import meta_of
from pdctl.bench.runs.point_files import Done
from pdctl.model.deployment import Slo
from pdctl.model.outcome import Outcome
from pdctl.perf.workload import poisson
from tests.bench_rows import row

SLO = Slo(ttft_s=1.0, itl_s=0.05, attainment=0.9)
TOOK_S = 10.0


def good(index: int, **changes: Any) -> Row:
    """Met by 0.2 s and 20 ms."""
    return row(index, **({"ttft_s": 0.2, "gaps_s": (0.02, 0.02), "e2el_s": 0.24} | changes))


def mixed_rows(error: str = "boom") -> list[Row]:
    """Of six requests one met, one missed TTFT, one ITL, one both, one failed, and one was not streamed."""
    return [
        good(0),
        good(1, ttft_s=1.5, e2el_s=1.54),
        good(2, gaps_s=(0.02, 0.2), e2el_s=0.42),
        good(3, ttft_s=2.0, gaps_s=(0.2, 0.2), e2el_s=2.4),
        good(4, outcome=Outcome.ERROR, ttft_s=None, gaps_s=(), tokens=0, error=error),
        good(5, ttft_s=None, gaps_s=(), streamed=False),
    ]


def run_directory(
    path: Path, measured: dict[tuple[str, str, int], list[Row]], *, gpus: int | None = 8, **said: Any
) -> Path:
    """A run with the given rows by deployment, load and seed; all of scenario `mori`. `said`: of its meta."""
    points = {
        (deployment, load, seed): Point(deployment, "mori", load, seed, poisson(len(rows), 2.0, 8, 3, seed=seed))
        for (deployment, load, seed), rows in measured.items()
    }
    targets = {
        name: TargetNote("http://r1", "some/model", "completions", "tokens", 1000, gpus) for name, _, _ in points
    }
    definition = define("builtin", targets, list(points.values()), slo=SLO)
    with open_run(path, meta_of(definition, run="abc", started="2026-01-02T03:04:05Z", **said)) as run:
        for key, point in points.items():
            files = run.point(point.id)
            files.begin(note_point(point))
            with files.appending(0) as out:
                for each in measured[key]:
                    out.append(each)
            found = figures(measured[key], TOOK_S, slo=SLO, gpus=gpus)
            count = len(measured[key])
            files.finish(Done(found, count, count, files.rows_sha256(), "2026-01-02T03:05:05Z"), {})
    return path
