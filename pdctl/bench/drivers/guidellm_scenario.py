"""The scenario file of `guidellm run -c` (GuideLLM 0.8). Pure.

Everything is in the file, so the command line shows nothing of it, and an API key least of all. Prompts are text that
GuideLLM makes of a trace's ids, so the input length is right to within what tokenizing it again changes.
"""

from __future__ import annotations

from typing import Any

from pdctl.bench.drivers.shape import Arrival, arrivals
from pdctl.bench.drivers.tool import OUT
from pdctl.bench.drivers.trace import Trace, tool_seed
from pdctl.bench.point import Point, Target

TOOL = "GuideLLM"
RESULT = "result.json"
TRACE = "trace.jsonl"
SCENARIO = "scenario.json"


def guidellm_scenario(point: Point, target: Target, played: Trace, *, tokenizer: str = "") -> dict[str, Any]:
    """`played` lies beside it: it gives the lengths and the order. Raises BenchError for arrivals other than at once,
    constant and Poisson: GuideLLM can replay moments, but of a replay 0.8.1 lost the last request (measured)."""
    backend: dict[str, Any] = {
        "kind": "openai_http",
        "target": target.url.rstrip("/"),
        "model": target.model,
        "request_format": target.api.path,
        "http2": False,
        "timeout": point.deadline_s,
        "extras": {"body": {"ignore_eos": True, "temperature": 0}},
    }
    if target.api_key:
        backend["api_key"] = target.api_key
    source = {"kind": "json_file", "path": TRACE}
    spec: dict[str, Any] = {
        "backend": backend,
        "profile": _profile(point),
        "tokenizer": {"kind": "huggingface_auto", "model": tokenizer or target.model},
        "data": [{"kind": "mooncake", "hash_id_block_size": played.block, "source": source}],
        "seed": {"kind": "static", "value": tool_seed(point)},
        "outputs": [{"kind": "json", "path": f"{OUT}/{RESULT}"}],
        "constraints": [{"kind": "max_requests", "count": len(point.workload.asked)}],
    }
    return {"spec": spec}


def plays_exactly(point: Point) -> bool:
    """Whether requests are offered when the workload says; else GuideLLM draws the moments by a rate."""
    return "rate" not in _profile(point)


def _profile(point: Point) -> dict[str, Any]:
    limit = point.workload.concurrency
    if point.workload.span_s <= 0.0:
        return {"kind": "concurrent", "streams": [limit or len(point.workload.asked)]}
    told = arrivals(point.workload, TOOL)
    kind = "constant" if told.arrival is Arrival.CONSTANT else "poisson"
    rate: dict[str, Any] = {"kind": kind, "rate": [told.rate_per_s]}
    return rate if limit is None else {**rate, "max_concurrency": limit}
