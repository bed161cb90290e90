"""Reads what other benchmark clients wrote: the JSON of `vllm bench serve` and of SGLang's `bench_serving`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pdctl.bench.figures.doubts import BUNDLED
from pdctl.errors import BenchError

_PERCENTILE = re.compile(r"p(\d+(?:\.\d+)?)_(.+)_ms")
_E2EL = ("e2el", "e2e_latency")


@dataclass(frozen=True, slots=True)
class Latency:
    """In seconds. `percentiles`: those that the file has, by percent."""

    mean_s: float
    median_s: float
    std_s: float | None
    percentiles: Mapping[float, float]


@dataclass(frozen=True, slots=True)
class ToolResult:
    """One run of a tool. `request_rate` and `max_concurrency` None: no limit. Other None: the file does not say."""

    tool: str
    model: str | None
    date: str | None
    requests: int | None
    request_rate: float | None
    max_concurrency: int | None
    duration_s: float
    completed: int
    failed: int | None
    tokens_in: int
    tokens_out: int
    requests_per_s: float
    goodput_per_s: float | None
    tps_out: float
    tps_total: float
    in_flight_mean: float | None
    ttft: Latency | None
    tpot: Latency | None
    itl: Latency | None
    e2el: Latency | None
    warnings: tuple[str, ...]


def read_tool_results(text: str, file: str) -> tuple[ToolResult, ...]:
    """The results in a file: one, or several behind one another (`--append-result`), or SGLang's one a line.

    Raises BenchError for what is none; `file` names it.
    """
    decoder = json.JSONDecoder()
    found: list[ToolResult] = []
    rest = text.strip()
    while rest:
        try:
            said, end = decoder.raw_decode(rest)
            found.append(_result(said))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise BenchError(
                f"{file}: no benchmark result: {_reason(error)}",
                hint="wanted: the JSON that `vllm bench serve --save-result` or SGLang's bench_serving writes",
            ) from error
        rest = rest[end:].lstrip()
    if not found:
        raise BenchError(f"{file}: it is empty", hint="the run may not have come to its end")
    return tuple(found)


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"it has no {error.args[0]!r}"
    return ascii(str(error))[1:-1][:120]


def _result(said: Any) -> ToolResult:
    if not isinstance(said, Mapping):
        raise TypeError("an object is wanted")
    sglang = "total_throughput" in said
    itl, tpot = _latency(said, "itl"), _latency(said, "tpot")
    duration_s, completed = float(said["duration"]), int(said["completed"])
    goodput = said.get("request_goodput", said.get("request_goodput:"))
    return ToolResult(
        tool="SGLang bench_serving" if sglang else "vllm bench serve",
        model=said.get("model_id"),
        date=said.get("date"),
        requests=said.get("num_prompts"),
        request_rate=_limit(said.get("request_rate")),
        max_concurrency=said.get("max_concurrency"),
        duration_s=duration_s,
        completed=completed,
        failed=_failed(said, completed),
        tokens_in=int(said["total_input_tokens"]),
        tokens_out=int(said["total_output_tokens"]),
        requests_per_s=float(said["request_throughput"]),
        goodput_per_s=None if goodput is None else float(goodput),
        tps_out=float(said["output_throughput"]),
        tps_total=float(said["total_throughput" if sglang else "total_token_throughput"]),
        in_flight_mean=_in_flight(said, duration_s, completed),
        ttft=_latency(said, "ttft"),
        tpot=tpot,
        itl=itl,
        e2el=next((seen for name in _E2EL if (seen := _latency(said, name)) is not None), None),
        warnings=_warnings(itl, tpot),
    )


def _limit(rate: Any) -> float | None:
    """The rate; both tools write infinity where there is no limit, one as text."""
    if rate is None or math.isinf(float(rate)):
        return None
    return float(rate)


def _failed(said: Mapping[str, Any], completed: int) -> int | None:
    if said.get("failed") is not None:
        return int(said["failed"])
    return int(said["num_prompts"]) - completed if said.get("num_prompts") is not None else None


def _in_flight(said: Mapping[str, Any], duration_s: float, completed: int) -> float | None:
    """SGLang says it; else the sum of the latencies over the duration."""
    if said.get("concurrency") is not None:
        return float(said["concurrency"])
    mean_ms = next((said[f"mean_{name}_ms"] for name in _E2EL if f"mean_{name}_ms" in said), None)
    return float(mean_ms) / 1e3 * completed / duration_s if mean_ms is not None and duration_s > 0 else None


def _latency(said: Mapping[str, Any], name: str) -> Latency | None:
    if said.get(f"mean_{name}_ms") is None or not said["completed"]:
        return None  # the tools write 0 for the latency of no answer
    percentiles = {
        float(found[1]): float(value) / 1e3
        for key, value in said.items()
        if (found := _PERCENTILE.fullmatch(key)) and found[2] == name
    }
    std_ms = said.get(f"std_{name}_ms")
    return Latency(
        float(said[f"mean_{name}_ms"]) / 1e3,
        float(said[f"median_{name}_ms"]) / 1e3,
        None if std_ms is None else float(std_ms) / 1e3,
        dict(sorted(percentiles.items())),
    )


def _warnings(itl: Latency | None, tpot: Latency | None) -> tuple[str, ...]:
    if itl is None or tpot is None or tpot.mean_s <= 0 or itl.mean_s <= BUNDLED * tpot.mean_s:
        return ()
    ratio = itl.mean_s / tpot.mean_s
    return (f"mean ITL is {ratio:.1f} x mean TPOT: events carry several tokens, so gaps are not those between tokens",)
