"""lm-eval's results, and whether they differ from a baseline's by more than chance."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pdctl.bench.accuracy.baseline import baseline_path, read_baseline, write_baseline
from pdctl.bench.accuracy.compare import Verdict, compare, missing, overall, standard_error
from pdctl.bench.accuracy.lm_eval_argv import Asked, lm_eval_argv
from pdctl.bench.accuracy.scores import Evaluation, Score, scores_of
from pdctl.errors import BenchError, UsageError
from pdctl.model.load import Api
from tests.bench_tools import lm_eval_results, target


def score(value: float = 0.9, stderr: float | None = 0.01, **changes: Any) -> Score:
    fields: dict[str, Any] = {"task": "gsm8k", "metric": "exact_match", "filter": "strict-match", "samples": 900}
    return Score(**(fields | {"value": value, "stderr": stderr} | changes))


def evaluation(*scores: Score, **changes: Any) -> Evaluation:
    return Evaluation(**({"deployment": "d", "model": "m", "taken": "t", "scores": scores or (score(),)} | changes))


def verdict(now: Score, before: Score, **changes: Any) -> Verdict:
    return compare(evaluation(now), evaluation(before, **changes))[0].verdict


def test_scores_of_every_filter_with_their_errors_and_samples() -> None:
    scores, version = scores_of(json.dumps(lm_eval_results()).encode())
    assert version == "0.4.13"
    strict, flexible = scores
    assert strict.key == ("gsm8k", "exact_match", "strict-match") and flexible.filter == "flexible-extract"
    assert (strict.value, strict.stderr, strict.samples, strict.shots) == (0.9, 0.02, 200, 5)
    assert flexible.stderr is None, '"N/A" is unknown, and not 0'
    for broken in (b"{", b"{}", b'{"results": []}', b'{"results": {"t": {"alias": "t"}}}'):
        with pytest.raises(BenchError):
            scores_of(broken)


@pytest.mark.parametrize(
    ("now", "before", "expected"),
    [
        (0.900, 0.905, Verdict.SAME),
        (0.860, 0.905, Verdict.WORSE),
        (0.950, 0.905, Verdict.BETTER),
    ],
)
def test_verdicts(now: float, before: float, expected: Verdict) -> None:
    assert verdict(score(now), score(before)) is expected
    mirrored = verdict(score(now, higher_is_better=False), score(before, higher_is_better=False))
    swapped = {Verdict.WORSE: Verdict.BETTER, Verdict.BETTER: Verdict.WORSE}
    assert mirrored is swapped.get(expected, expected)


def test_too_few_samples_are_no_proof_of_sameness() -> None:
    few = compare(evaluation(score(0.9, 0.03, samples=100)), evaluation(score(0.9, 0.03, samples=100)))[0]
    assert few.verdict is Verdict.UNSURE and "too few samples" in few.why
    assert few.needs is not None
    shrunk = 0.03 * (100 / few.needs) ** 0.5
    assert verdict(score(0.9, shrunk), score(0.9, shrunk)) is Verdict.SAME, "so many would have told"
    assert verdict(score(0.5, 0.05), score(0.9, 0.03)) is Verdict.WORSE, "but a large difference shows with few"


def test_six_of_six_twice_is_not_the_same_for_certain() -> None:
    perfect = score(1.0, 0.0, samples=6)
    assert verdict(perfect, perfect) is Verdict.UNSURE
    error = standard_error(perfect)
    assert error is not None and 0.1 < error < 0.2
    assert verdict(score(1.0, 0.0, samples=None), perfect) is Verdict.UNSURE


@pytest.mark.parametrize(
    ("now", "changes", "said"),
    [
        (score(shots=5), {}, "5-shot"),
        (score(version="3.0"), {}, "version"),
        (score(), {"chat": True}, "chat"),
        (score(stderr=None), {}, "standard error"),
        (score(task="other"), {}, "the baseline has none"),
    ],
)
def test_what_is_not_alike_is_not_compared(now: Score, changes: dict[str, Any], said: str) -> None:
    compared = compare(evaluation(now), evaluation(score(0.1), **changes))[0]
    assert compared.verdict is Verdict.UNSURE and said in compared.why


def test_the_whole_is_as_bad_as_its_worst() -> None:
    before = evaluation(score(), score(0.5, task="mmlu"), score(task="gone"))
    now = evaluation(score(), score(0.3, task="mmlu"))
    compared = compare(now, before)
    assert [each.verdict for each in compared] == [Verdict.SAME, Verdict.WORSE]
    assert overall(compared) is Verdict.WORSE
    assert [each.task for each in missing(now, before)] == ["gone"]


def test_baselines_are_kept_per_cluster(tmp_path: Path) -> None:
    path = baseline_path(tmp_path, "10.0.0.1:8000/x")
    assert path.parent == tmp_path / "accuracy" and path.name == "10.0.0.1-8000-x.json"
    assert read_baseline(path) is None
    write_baseline(path, evaluation())
    assert read_baseline(path) == evaluation()
    path.write_text("{}")
    with pytest.raises(BenchError, match="no baseline of pdctl"):
        read_baseline(path)


def test_what_lm_eval_is_told() -> None:
    argv = lm_eval_argv(["lm_eval"], target(api_key="sk-1"), Asked(("gsm8k", "mine"), 50, 3, extra=("--seed", "1")))
    settings = dict(part.split("=", 1) for part in argv[argv.index("--model_args") + 1].split(","))
    assert settings["base_url"] == "http://127.0.0.1:1/v1/completions" and settings["model"] == "m"
    assert settings["num_concurrent"] == "32" and settings["tokenizer_backend"] == "None"
    assert argv[argv.index("--tasks") + 1] == "gsm8k,mine" and argv[argv.index("--limit") + 1] == "50"
    assert argv[argv.index("--num_fewshot") + 1] == "3" and argv[-2:] == ("--seed", "1")
    assert not any("sk-1" in word for word in argv)
    chat = lm_eval_argv(["lm_eval"], target(api=Api.CHAT), Asked())
    assert "local-chat-completions" in chat and "--apply_chat_template" in chat
    with pytest.raises(UsageError, match="comma"):
        lm_eval_argv(["lm_eval"], target(model="a,b"), Asked())
