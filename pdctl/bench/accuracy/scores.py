"""What lm-eval's results file says. Pure.

`results` (lm-eval 0.4.13, `evaluation_tracker.py`) has per task `"<metric>,<filter>"` and `"<metric>_stderr,<filter>"`,
the latter "N/A" where there is none; `n-samples`, `n-shot`, `versions` and `higher_is_better` per task.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pdctl.errors import BenchError

_STDERR = "_stderr"
_NO_METRICS = frozenset({"name", "alias", "sample_len", "sample_count"})


class Score(BaseModel):
    """One metric of one task. `stderr` is None where lm-eval gives none; `samples` where it does not say how many."""

    model_config = ConfigDict(frozen=True)

    task: str
    metric: str
    filter: str
    value: float
    stderr: float | None = None
    samples: int | None = None
    shots: int | None = None
    version: str = ""
    higher_is_better: bool = True

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.task, self.metric, self.filter)


class Evaluation(BaseModel):
    """One run of lm-eval. `chat`: through the chat endpoint, with the model's chat template."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    deployment: str
    model: str
    taken: str
    layout: str = ""
    chat: bool = False
    lm_eval: str = ""
    limit: float | None = None
    scores: tuple[Score, ...] = Field(min_length=1)


def scores_of(data: bytes) -> tuple[tuple[Score, ...], str]:
    """All scores of a results file, and lm-eval's version. Raises BenchError."""
    try:
        whole = json.loads(data)
        results = whole["results"]
        found = tuple(score for task in results for score in _of_task(whole, task, results[task]))
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise BenchError(f"the results of lm-eval cannot be read: {error!r}"[:200], hint="run it again") from None
    if not found:
        raise BenchError("lm-eval gave no score", hint="look at the tasks: `lm-eval ls tasks`")
    return found, str(whole.get("lm_eval_version") or "")


def _of_task(whole: Mapping[str, Any], task: str, figures: Mapping[str, Any]) -> list[Score]:
    samples = whole.get("n-samples", {}).get(task, {}).get("effective") or figures.get("sample_len")
    better = whole.get("higher_is_better", {}).get(task) or {}
    found = []
    for name, value in figures.items():
        metric, comma, chosen = name.partition(",")
        if metric in _NO_METRICS or not comma or metric.endswith(_STDERR) or isinstance(value, str):
            continue
        stderr = figures.get(f"{metric}{_STDERR},{chosen}")
        found.append(
            Score(
                task=task,
                metric=metric,
                filter=chosen,
                value=value,
                stderr=stderr if isinstance(stderr, int | float) else None,
                samples=samples,
                shots=whole.get("n-shot", {}).get(task),
                version=str(whole.get("versions", {}).get(task, "")),
                higher_is_better=better.get(metric) is not False,
            )
        )
    return found
