"""AIPerf's `profile_export.jsonl` as rows. Pure.

One record a line (AIPerf 0.13 `record_models.py`): `metadata` with moments in nanoseconds of the wall clock,
`metrics` as `{"value", "unit"}` (`inter_chunk_latency`: a list in milliseconds), and `error` of what failed. A stream
that ends without the tokens that were asked for is no error to it; as the length is forced, it is told by that.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from pdctl.bench.drivers.verdict_of import judged
from pdctl.bench.point import Point
from pdctl.bench.row import Row
from pdctl.errors import BenchError

RECORDS = "profile_export.jsonl"
SUMMARY = "profile_export_aiperf.json"
LIMITS = (
    "AIPerf tells no abort and no cut; an answer with fewer tokens than were asked for is `cut`, whatever its cause",
    "a failed request has no token times",
)
_NS = 1e-9
_MS = 1e-3


class Metadata(BaseModel):
    """Of one request. `credit_issued_ns` is when a place under the concurrency limit was free and it was due."""

    conversation_id: str
    x_request_id: str = ""
    request_start_ns: int
    request_end_ns: int
    benchmark_phase: str = "profiling"


class Metric(BaseModel):
    value: float | list[float]


class Failure(BaseModel):
    """`code` is the HTTP status, where there was one."""

    type: str | None = None
    message: str | None = None
    cause: str | None = None
    code: int | None = None


class Record(BaseModel):
    """One line."""

    metadata: Metadata
    metrics: dict[str, Metric]
    error: Failure | None = None

    def figure(self, name: str) -> float | None:
        metric = self.metrics.get(name)
        return metric.value if metric is not None and isinstance(metric.value, float) else None

    def figures(self, name: str) -> Sequence[float]:
        metric = self.metrics.get(name)
        return metric.value if metric is not None and isinstance(metric.value, list) else ()


def read_records(data: bytes) -> list[Record]:
    """The measured requests, warm-up left out. Raises BenchError."""
    try:
        records = [Record.model_validate_json(line) for line in data.splitlines() if line.strip()]
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"])) or "the line"
        raise BenchError(f"AIPerf's {RECORDS} cannot be read: {where}: {problem['msg']}", hint="run it again") from None
    return [record for record in records if record.metadata.benchmark_phase == "profiling"]


def read_summary(data: bytes | None) -> dict[str, Any]:
    """AIPerf's own figures; nothing where it left none, which it does where all requests failed."""
    try:
        summary = json.loads(data or b"{}")
    except ValueError:
        return {}
    return summary if isinstance(summary, dict) else {}


def rows_of(records: Iterable[Record], point: Point) -> tuple[Row, ...]:
    """In the order of the point's requests. Raises BenchError where one that was asked for has no record."""
    asked = point.workload.asked
    by_position = {record.metadata.conversation_id: record for record in records}
    missing = [position for position in range(len(asked)) if str(position) not in by_position]
    if missing:
        raise BenchError(
            f"AIPerf has no record of {len(missing)} of {len(asked)} requests, the first of them number {missing[0]}",
            hint="run it again",
        )
    found = [by_position[str(position)] for position in range(len(asked))]
    starts_s = [record.metadata.request_start_ns * _NS for record in found]
    zero = min((start - item.at_s for start, item in zip(starts_s, asked, strict=True)), default=0.0)
    return tuple(_row(record, point, position, zero) for position, record in enumerate(found))


def _row(record: Record, point: Point, position: int, zero: float) -> Row:
    item, metadata = point.workload.asked[position], record.metadata
    started_s = metadata.request_start_ns * _NS
    first_ms, latency_ms = record.figure("time_to_first_token"), record.figure("request_latency")
    gaps_s = tuple(gap * _MS for gap in record.figures("inter_chunk_latency"))
    events = len(gaps_s) + 1 if first_ms is not None else 0
    tokens = int(record.figure("output_sequence_length") or record.figure("usage_completion_tokens") or events)
    prompt = record.figure("usage_prompt_tokens") or record.figure("input_sequence_length")
    error, status = _said(record.error), record.error.code if record.error else None
    outcome, refusal, trouble = judged(error, max(tokens, events), item.osl, status=status)
    return Row(
        index=point.index(position),
        request_id=metadata.x_request_id,
        at_s=item.at_s,
        sent_s=started_s - zero,
        isl=item.isl,
        osl=item.osl,
        outcome=outcome,
        ttft_s=first_ms * _MS if first_ms is not None else None,
        e2el_s=latency_ms * _MS if latency_ms is not None else metadata.request_end_ns * _NS - started_s,
        gaps_s=gaps_s,
        tokens=tokens,
        prompt_tokens=int(prompt) if prompt is not None else None,
        status=status,
        refusal=refusal,
        error=trouble,
    )


def _said(failure: Failure | None) -> str:
    if failure is None:
        return ""
    parts = [failure.type or "", failure.message or failure.cause or ""]
    return " ".join(": ".join(part for part in parts if part).split()) or "an error without a word"
