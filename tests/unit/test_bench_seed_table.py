"""A report says how much its figures may differ with another seed, and says nothing of it where there was one."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdctl.bench.reports.export import as_document
from pdctl.bench.reports.plot import Room
from pdctl.bench.reports.reading import read_report
from pdctl.bench.reports.terminal import Part, report_lines
from pdctl.model.deployment import Slo
from tests.bench_report import good, run_directory

SLOW = {"ttft_s": 1.5, "e2el_s": 1.54}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Three seeds that met their targets by 100, 80 and 60 %; another load with one seed."""
    rows = {
        ("r1", "r2", seed): [good(n) for n in range(10 - 2 * seed)]
        + [good(n, **SLOW) for n in range(10 - 2 * seed, 10)]
        for seed in range(3)
    }
    return run_directory(tmp_path / "run", rows | {("r1", "r4", 0): [good(n) for n in range(10)]})


def test_the_interval_over_seeds_is_students(run: Path) -> None:
    text = [line.plain for line in report_lines(read_report([run]), [Part.SEEDS], Room(100, ascii_only=True))]
    (line,) = [each for each in text if each.startswith("r1")]
    assert line.split()[:3] == ["r1", "r2", "3"]
    assert "80.0% +-49.7%" in line  # 4.3027 * 20 % / sqrt(3)


def test_the_document_has_bounds_only_where_there_are_several_seeds(run: Path) -> None:
    several, one = as_document(read_report([run]))["seeds"]
    assert several["seeds"] == [0, 1, 2]
    assert several["means"]["attainment"]["low"] == pytest.approx(0.8 - 0.4968, abs=1e-4)
    assert (one["load"], one["means"]["attainment"]) == ("r4", {"mean": 1.0, "low": None, "high": None, "unit": ""})


def test_attainment_is_by_the_reports_targets(run: Path) -> None:
    strict = read_report([run]).judged_by(Slo(0.1, 0.01, 0.9))
    assert as_document(strict)["seeds"][0]["means"]["attainment"]["mean"] == 0.0


def test_one_seed_is_said_to_be_one(tmp_path: Path) -> None:
    path = run_directory(tmp_path / "one", {("r1", "r2", 0): [good(0)]})
    text = [line.plain for line in report_lines(read_report([path]), [Part.SEEDS], Room(100, ascii_only=True))]
    assert any("one seed a point" in line for line in text)
