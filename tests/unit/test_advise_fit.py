"""`pdctl advise fit` and `advise profiles` as they are typed; the report on the published tables line by line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pdctl.bench.drivers.scripted import ScriptedDriver, answered
from pdctl.bench.row import Row
from pdctl.cli.advise.fit_published_found import Published
from pdctl.cli.advise.fit_published_json import as_json
from pdctl.cli.advise.fit_published_text import lines
from pdctl.cli.main import main
from pdctl.perf.builtin_profiles import QWEN3_235B_MI300X, R1_MI300X, R1_WITHOUT
from pdctl.perf.published import r1_rows
from pdctl.perf.published_fit import say_left_out
from pdctl.perf.published_mori import say_attained
from pdctl.perf.published_r1 import say_all
from pdctl.perf.published_score import check_mori, checks_r1
from pdctl.perf.workload import Asked
from tests.unit.bench_runs import play, point


@dataclass(frozen=True, slots=True)
class Done:
    code: int
    out: str
    err: str


@pytest.fixture
def pdctl(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Done]:
    """One command in this process, with a data directory of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))

    def run(*argv: str) -> Done:
        with pytest.raises(SystemExit) as ended:
            main(argv)
        printed = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Done(ended.value.code, printed.out, printed.err)

    return run


async def measured(path: Path, loads: tuple[int, ...]) -> Path:
    """A run whose answers take longer the more are in flight, in a closed loop."""
    points = [point(24, load=f"c{each}", osl=20, concurrency=each) for each in loads]
    places = iter([each for each in loads for _ in range(24)])

    def answer(index: int, asked: Asked) -> Row:
        load = next(places)
        gaps_s = (0.01 + 0.001 * load,) * (asked.osl - 1)
        row = replace(answered(index, asked), ttft_s=0.05 + 0.01 * load, gaps_s=gaps_s)
        return replace(row, e2el_s=(row.ttft_s or 0.0) + sum(gaps_s), sent_s=0.3 * (index // load))

    await play(path, points, ScriptedDriver(answer))
    return path


async def test_a_run_is_fitted_kept_and_listed(pdctl: Callable[..., Done], tmp_path: Path) -> None:
    run = str(await measured(tmp_path / "run", (1, 2, 4, 8)))
    fitted = pdctl(
        "--json", "advise", "fit", run, "--layout", "1M", "--hold-out", "half", "--gpu", "x", "--save", "own"
    )
    assert fitted.code == 0
    document = json.loads(fitted.out)
    assert [len(document[which]) for which in ("fitted", "predicted")] == [2, 2]
    assert document["constants"]["decode_s"] == pytest.approx(0.01, rel=0.3)
    listed = pdctl("advise", "profiles")
    assert [line.split()[0] for line in listed.out.splitlines()] == ["own", R1_MI300X.name, QWEN3_235B_MI300X.name]


async def test_one_load_is_refused_with_what_is_missing(pdctl: Callable[..., Done], tmp_path: Path) -> None:
    run = str(await measured(tmp_path / "run", (2,)))
    refused = pdctl("advise", "fit", run, "--layout", "1M")
    assert refused.code == 1
    assert "1 load level" in refused.err


@pytest.mark.parametrize("argv", [[], ["--published", "--from-live"], ["--from-live", "--refit"]])
def test_what_to_fit_to_has_to_be_one_thing(pdctl: Callable[..., Done], argv: list[str]) -> None:
    assert pdctl("advise", "fit", *argv).code == 64


@pytest.fixture(scope="module")
def found() -> Published:
    said = say_all(R1_MI300X.constants, seeds=[0])
    left_out = say_left_out({"1K/1K": R1_WITHOUT["1K/1K"]}, seeds=[0])
    points = say_attained(QWEN3_235B_MI300X.constants, QWEN3_235B_MI300X.transfer.proxy_s)
    return Published(said, left_out, points, (*checks_r1(said), check_mori(points)), None)


def test_every_row_every_point_and_every_target_has_its_line(found: Published) -> None:
    text = list(lines(found))
    rows = [line for line in text if line[2:8].strip() in ("1K/1K", "8K/1K", "1K/8K", "8K/8K")]
    assert len(rows) == len(r1_rows()) == 30
    assert sum(1 for line in rows if line.startswith("*")) == 4
    assert sum(1 for line in text if line.startswith(("ok    ", "MISSED"))) == len(found.checks)
    assert sum(1 for line in text if line.startswith(("  2M  ", "  1P1D  "))) == 10


def test_the_json_has_the_same_and_is_json(found: Published) -> None:
    document = json.loads(json.dumps(as_json(found), allow_nan=False))
    assert len(document["rows"]) == 30
    assert len(document["contests"]) == 42
    assert len(document["attainment"]) == 10
    assert document["held_out"]["e2el"]["count"] == 26
    assert document["leave_one_scenario_out"]["1K/1K"]["e2el"]["count"] == 6
