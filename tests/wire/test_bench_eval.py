"""`pdctl bench eval` with a stand-in for lm-eval that writes results in its format."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pdctl.cli.bench.eval import command
from pdctl.cli.global_options import Globals
from pdctl.errors import BenchError
from tests.bench_tools import lm_eval_results, stand_in


def lm_eval(tmp_path: Path, strict: float, stderr: float = 0.005) -> Path:
    body = f"""
out = pathlib.Path(argv[argv.index("--output_path") + 1], "m")
out.mkdir(parents=True)
assert "model=m,base_url=http://127.0.0.1:1/v1/completions" in argv[argv.index("--model_args") + 1]
assert os.environ["OPENAI_API_KEY"] == "sk-1" and pathlib.Path(argv[-1]).is_dir()
results = {lm_eval_results(strict, stderr)!r}
del results["results"]["gsm8k"]["exact_match,flexible-extract"]
(out / "results_2026-11-22T21-01-37.431917.json").write_text(json.dumps(results))
"""
    return stand_in(tmp_path / "bin", "lm_eval", body)


def evaluate(tmp_path: Path, program: Path, *words: str, json_lines: bool = False) -> Result:
    (tmp_path / "tasks").mkdir(exist_ok=True)
    server = ["--url", "http://127.0.0.1:1", "--model", "m", "--api-key-env", "KEY", "--program", str(program)]
    own = ["--baseline", str(tmp_path / "baseline.json"), *words, "--", "--include_path", f"{tmp_path}/tasks"]
    options = Globals(json=json_lines)
    return CliRunner().invoke(command, [*server, *own], obj=options, env={"KEY": "sk-1"}, standalone_mode=False)


def test_a_score_is_kept_and_a_later_one_compared_with_it(tmp_path: Path) -> None:
    first = evaluate(tmp_path, lm_eval(tmp_path, 0.95))
    assert first.return_value == 0 and "no baseline yet" in first.output, first.exception
    assert "gsm8k exact_match (strict-match) 0.9500 ± 0.0050 n=200" in " ".join(first.output.split())
    saved = evaluate(tmp_path, lm_eval(tmp_path, 0.95), "--save-baseline")
    assert saved.return_value == 0 and "baseline saved" in saved.output
    assert "sk-1" not in (tmp_path / "baseline.json").read_text()
    same = evaluate(tmp_path, lm_eval(tmp_path, 0.948))
    assert same.return_value == 0 and "as good as the baseline" in same.output
    worse = evaluate(tmp_path, lm_eval(tmp_path, 0.85))
    assert worse.return_value == 1 and "WORSE" in worse.output
    unsure = evaluate(tmp_path, lm_eval(tmp_path, 0.94, 0.03), json_lines=True)
    said = json.loads(unsure.stdout)
    assert unsure.return_value == 0 and said["verdict"] == "cannot tell"
    assert said["compared"][0]["before"]["value"] == 0.95 and said["compared"][0]["needs"] > 200


def test_without_lm_eval_one_error_says_how_to_get_it(tmp_path: Path) -> None:
    absent = evaluate(tmp_path, tmp_path / "nowhere")
    assert isinstance(absent.exception, BenchError)
    assert "not installed on this machine" in str(absent.exception)
    assert "pip install 'lm-eval[api]'" in absent.exception.hint


def test_an_evaluation_that_fails_is_no_score(tmp_path: Path) -> None:
    program = stand_in(tmp_path / "bin", "lm_eval", "sys.exit('ValueError: Tasks not found: gsm9k')")
    failed = evaluate(tmp_path, program, "--save-baseline")
    assert isinstance(failed.exception, BenchError) and "Tasks not found: gsm9k" in str(failed.exception)
    assert not (tmp_path / "baseline.json").exists()


@pytest.mark.parametrize("words", [["--tasks", ","], ["--api-key-env", "NOT_SET_ANYWHERE"]])
def test_what_makes_no_sense_is_refused(tmp_path: Path, words: list[str]) -> None:
    assert evaluate(tmp_path, tmp_path / "nowhere", *words).exception is not None
