"""Results of runs of ours in the form of `vllm bench serve`, beside the files that it and SGLang's client wrote."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pdctl.bench.figures.tool_result import ToolResult, read_tool_results
from pdctl.bench.figures.vllm_json import Told, vllm_json
from pdctl.bench.runs.read import ReadPoint, Run, read_run
from pdctl.errors import BenchError
from pdctl.model.load import Api

_RATE = re.compile(r"(?:^|-)r(\d+(?:\.\d+)?)(?:-|$)")
_BURSTINESS = re.compile(r"-b(\d+(?:\.\d+)?|inf)(?:-|$)")


@dataclass(frozen=True, slots=True)
class Named:
    """A result and where it is from: a point's id, or a file. `said`: the JSON itself."""

    name: str
    result: ToolResult
    said: dict[str, Any]


def results_at(
    path: Path, percentiles: Sequence[float] = (99.0,), *, detailed: bool = False, beside_others: bool = False
) -> list[Named]:
    """What lies at `path`: the points of a run's directory, or the results in a file. `beside_others`: points are named
    with their run, for another run may have the same ones. Raises BenchError."""
    if path.is_dir():
        run = read_run(path)
        within = f"{path}/" if beside_others else ""
        return [_named(run, point, within, percentiles, detailed=detailed) for point in run.done]
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"{path} cannot be read: {error}", hint="a run's directory, or a tool's JSON") from error
    found = read_tool_results(text, str(path))
    return [Named(str(path) if len(found) == 1 else f"{path}#{n}", each, {}) for n, each in enumerate(found, 1)]


def _named(run: Run, point: ReadPoint, within: str, percentiles: Sequence[float], *, detailed: bool) -> Named:
    said = as_vllm_json(run, point, percentiles, detailed=detailed)
    (result,) = read_tool_results(json.dumps(said), point.id)
    return Named(within + point.id, result, said)


def as_vllm_json(
    run: Run, point: ReadPoint, percentiles: Sequence[float] = (99.0,), *, detailed: bool = False
) -> dict[str, Any]:
    """A measured point as `vllm bench serve` would have written it; goodput by the run's targets, if it has any."""
    assert point.done is not None, "only a measured point has a duration"
    target, load = run.target(point), point.note.load
    rate, burstiness = _RATE.search(load), _BURSTINESS.search(load)
    told = Told(
        date=datetime.fromisoformat(point.done.finished),
        backend="openai-chat" if target.api == Api.CHAT else "openai",
        model=target.model,
        request_rate=float(rate[1]) if rate else None,
        burstiness=float(burstiness[1]) if burstiness else 1.0,
        max_concurrency=point.note.concurrency,
        label=point.note.deployment,
    )
    rows = list(point.rows())
    took_s = point.done.figures.duration_s
    return vllm_json(rows, took_s, told, slo=run.meta.definition.slo, percentiles=percentiles, detailed=detailed)
