"""`pdctl bench results`: our points and other tools' files side by side, and ours written as theirs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pdctl.cli.main import main
from pdctl.model.outcome import Outcome
from tests import tool_outputs
from tests.bench_report import good, run_directory


def shown(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*argv])
    assert ended.value.code == code
    printed = capsys.readouterr()
    return printed.err if code else printed.out


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return run_directory(tmp_path / "run", {("r1", "c4-r2.5-b0.5", 0): [good(n) for n in range(5)]})


def test_a_point_is_written_as_the_tool_writes_and_reads_back_alike(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    argv = ["--json", "bench", "results", str(run), "--write", str(out), "--percentiles", "50,99"]
    said: dict[str, Any] = json.loads(shown(capsys, *argv))
    (name,) = said["written"]
    written = json.loads(Path(name).read_text())
    assert (written["request_rate"], written["burstiness"], written["backend"]) == (2.5, 0.5, "openai")
    assert (written["date"], written["num_prompts"], written["model_id"]) == ("20260102-030505", 5, "some/model")
    assert written["request_goodput"] == 0.5
    assert written["p50_ttft_ms"] == pytest.approx(200.0)
    again = json.loads(shown(capsys, "--json", "bench", "results", name))
    assert {**again["results"][0], "name": ""} == {**said["results"][0], "name": ""}


@pytest.mark.parametrize("columns", ["80", "200"])
def test_runs_and_files_of_other_tools_stand_side_by_side(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    names = ("cvs-vllm_results_sample.json", "infera-pd_mori_1p1d_dsr1_conc128.json")
    for name in names:
        tool_outputs.read(f"vllm_bench/{name}")
    files = [str(Path(str(tool_outputs.root())) / "vllm_bench" / name) for name in names]
    text = shown(capsys, "bench", "results", str(run), *files)
    assert "r1/mori/c4-r2.5-b0.5/s0" in text and "12800" in text and "9898.4" in text
    assert "29.2 x mean TPOT" in text


@pytest.mark.parametrize("percentiles", ["x", "0", "101", ""])
def test_what_is_no_percentile_is_refused(run: Path, capsys: pytest.CaptureFixture[str], percentiles: str) -> None:
    assert "hint: --percentiles" in shown(capsys, "bench", "results", str(run), "--percentiles", percentiles, code=64)


def test_what_is_neither_a_run_nor_a_result_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.json").write_text("{}")
    assert "no benchmark result" in shown(capsys, "bench", "results", str(tmp_path / "x.json"), code=1)
    assert "hint:" in shown(capsys, "bench", "results", str(tmp_path / "none.json"), code=1)


def test_the_same_point_of_two_runs_is_told_apart_and_written_twice(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = [good(n, outcome=Outcome.ABORTED) for n in range(3)]
    other = run_directory(tmp_path / "other", {("r1", "c4-r2.5-b0.5", 0): failed})
    argv = ["--json", "bench", "results", str(run), str(other), "--write", str(tmp_path / "out")]
    said = json.loads(shown(capsys, *argv))
    assert [json.loads(Path(name).read_text())["num_prompts"] for name in said["written"]] == [5, 3]
    assert [each["ttft"] is None for each in said["results"]] == [False, True]  # of no answer: unknown, not 0
