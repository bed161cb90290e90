"""Two runs against each other: what got better or worse, what is noise, and what the runs differ in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pdctl.bench.reports.diff import Change, Diff, diff, diff_document, diff_lines
from pdctl.bench.row import Row
from pdctl.bench.runs.read import read_run
from pdctl.errors import BenchError
from tests.bench_report import good, run_directory


def rows(e2el_s: float) -> list[Row]:
    return [good(n, e2el_s=e2el_s) for n in range(6)]


def run(
    path: Path, times: Callable[[int], float], *, seeds: int = 3, name: str = "a", load: str = "r2", digest: str = ""
) -> Path:
    """A run of one deployment whose requests of a seed all take that long."""
    measured = {(name, load, seed): rows(times(seed)) for seed in range(seeds)}
    return run_directory(path, measured, inventory_digest=digest)


def e2el(found: Diff) -> tuple[Change, float]:
    change = next(each for each in found.changes if each.metric.name == "e2el")
    return change.change, round(change.row.ratio, 2)


@pytest.mark.parametrize(
    ("now", "seeds", "change"),
    [
        (lambda seed: 0.5 + seed / 100, 3, Change.BETTER),
        (lambda seed: 2.0 + seed / 100, 3, Change.WORSE),
        (lambda seed: (0.7, 1.0, 1.4)[seed], 3, Change.NOISE),
        (lambda seed: 1.0 + seed / 100, 3, Change.SAME),
        (lambda seed: 2.0, 1, Change.UNSURE),
    ],
)
def test_a_change_is_called_what_the_seeds_support(
    tmp_path: Path, now: Callable[[int], float], seeds: int, change: Change
) -> None:
    old = run(tmp_path / "old", lambda seed: 1.0 + seed / 100, seeds=seeds)
    found = diff(read_run(old), read_run(run(tmp_path / "new", now, seeds=seeds)))
    assert e2el(found)[0] is change
    text = "\n".join(line.plain for line in diff_lines(found))
    assert change.value in text
    assert len(json.dumps(diff_document(found))) > 100


def test_worse_beyond_a_share(tmp_path: Path) -> None:
    old = read_run(run(tmp_path / "old", lambda seed: 1.0 + seed / 1000))
    new = read_run(run(tmp_path / "new", lambda seed: 1.1 + seed / 1000))
    change = next(each for each in diff(old, new).changes if each.metric.name == "e2el")
    assert change.worse_by(0.05)
    assert not change.worse_by(0.2)


def test_what_the_runs_differ_in_is_said(tmp_path: Path) -> None:
    old = run(tmp_path / "old", lambda seed: 1.0, digest="a" * 64)
    new = run(tmp_path / "new", lambda seed: 1.0, digest="b" * 64, seeds=2)
    found = diff(read_run(old), read_run(new))
    assert found.differs == ("inventory: was aaaaaaaaaaaa, now bbbbbbbbbbbb",)
    assert found.alone == (f"a/mori/r2/s2 (only {old})",)


def test_one_deployment_against_another(tmp_path: Path) -> None:
    old = run(tmp_path / "old", lambda seed: 1.0, name="colocated")
    found = diff(read_run(old), read_run(run(tmp_path / "new", lambda seed: 0.5, name="split")))
    assert {each.deployment for each in found.changes} == {"colocated -> split"}
    assert e2el(found)[1] == 2.0
    assert found.alone == ()


def test_nothing_in_common_is_refused(tmp_path: Path) -> None:
    old, new = run(tmp_path / "old", lambda seed: 1.0), run(tmp_path / "new", lambda seed: 1.0, load="r3")
    with pytest.raises(BenchError, match="no measured point in common"):
        diff(read_run(old), read_run(new))
