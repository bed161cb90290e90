"""The JSON of `vllm bench serve --save-result --save-detailed` as rows. Pure.

Its per-request lists (vLLM 0.32 `benchmarks/serve.py`) are parallel and in the order of the requests: `start_times` in
seconds of a clock of its own, `ttfts`, `itls` between events, `input_lens`, `output_lens` (0 where it failed),
`errors` (a traceback, or the reason phrase of the HTTP answer), and from vLLM 0.32 `latencies` and `queue_times`.

It takes every answer with status 200 and one chunk for a success: an abort (`finish_reason` "abort"), an error within
the stream and a cut by an orderly close are counted as completed. As the output length is forced, such an answer has
fewer tokens than were asked for, and that is how it is told here; the cause is lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pdctl.bench.drivers.verdict_of import judged
from pdctl.bench.point import Point
from pdctl.bench.row import Row
from pdctl.errors import BenchError

LIMITS = (
    "vllm bench serve counts an abort, an error in the stream and a cut as a success; here an answer with fewer tokens "
    "than were asked for is `cut`, whatever its cause",
    "it records no HTTP status, no first byte, and of a failed request no duration",
)

_LISTS = ("input_lens", "output_lens", "ttfts", "itls", "start_times", "errors", "latencies", "queue_times")
_DROPPED = {*_LISTS, "generated_texts"}


class VllmServeResult(BaseModel):
    """What is read of the file; the rest of it is kept as it is. `latencies` and `queue_times` may be missing."""

    model_config = ConfigDict(extra="allow")

    duration: float
    input_lens: list[int]
    output_lens: list[int]
    ttfts: list[float]
    itls: list[list[float]]
    start_times: list[float]
    errors: list[str | None]
    latencies: list[float] | None = None
    queue_times: list[float] | None = None


def read_result(data: bytes) -> tuple[VllmServeResult, dict[str, Any]]:
    """The parsed file, and its summary (all but the per-request lists). Raises BenchError."""
    try:
        result = VllmServeResult.model_validate_json(data)  # straight from the bytes: there may be millions of gaps
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"])) or "the file"
        raise BenchError(
            f"the result of vllm bench serve cannot be read: {where}: {problem['msg']}",
            hint="per-request figures are there only with --save-detailed",
        ) from None
    lengths = {len(values) for name in _LISTS if (values := getattr(result, name)) is not None}
    if len(lengths) != 1:
        raise BenchError("the lists in the result of vllm bench serve differ in length", hint="run it again")
    return result, result.model_dump(exclude=_DROPPED)


def rows_of(result: VllmServeResult, point: Point, *, exact: bool, prefix: str = "") -> tuple[Row, ...]:
    """`exact`: the requests are the point's own, sent when the workload offers them; else the tool drew the moments,
    and where it does not say how long a request was held back at the client, none was.

    `prefix` is that of the request ids. Raises BenchError where there are not as many as were asked for.
    """
    asked = point.workload.asked
    if len(result.ttfts) != len(asked):
        raise BenchError(
            f"vllm bench serve reports {len(result.ttfts)} requests, and {len(asked)} were asked for",
            hint="run it again",
        )
    queued = result.queue_times or [0.0] * len(asked)
    offered = [start - wait for start, wait in zip(result.start_times, queued, strict=True)]
    due_s = [item.at_s if exact else 0.0 for item in asked]
    zero = min((moment - due for moment, due in zip(offered, due_s, strict=True)), default=0.0)
    return tuple(_row(result, point, place, zero, offered[place], exact, prefix) for place in range(len(asked)))


def _row(
    result: VllmServeResult, point: Point, place: int, zero: float, offered: float, exact: bool, prefix: str
) -> Row:
    item = point.workload.asked[place]
    gaps_s, first_s = result.itls[place], result.ttfts[place]
    error = " ".join((result.errors[place] or "").strip().splitlines()[-1:])
    events = len(gaps_s) + 1 if first_s > 0.0 else 0
    tokens = result.output_lens[place] or events
    outcome, refusal, trouble = judged(error, max(tokens, events), item.osl)
    latency_s = result.latencies[place] if result.latencies else 0.0
    return Row(
        index=point.index(place),
        request_id=f"{prefix}{place}",
        at_s=item.at_s if exact else offered - zero,
        sent_s=max(item.at_s if exact else 0.0, result.start_times[place] - zero),
        isl=item.isl,
        osl=item.osl,
        outcome=outcome,
        ttft_s=first_s if first_s > 0.0 else None,
        e2el_s=latency_s or first_s + sum(gaps_s),
        gaps_s=tuple(gaps_s),
        tokens=tokens,
        prompt_tokens=result.input_lens[place],
        refusal=refusal,
        error=trouble,
    )


def summary(raw: Mapping[str, Any], argv: Sequence[str]) -> dict[str, Any]:
    """What is kept beside the rows: the tool's own summary, its command line, and what its rows cannot tell."""
    return {"tool": "vllm bench serve", "argv": list(argv), "limits": list(LIMITS), "result": dict(raw)}
