"""GuideLLM's `benchmarks.json` as rows. Pure.

`benchmarks[0].requests` has the lists `successful`, `errored` and `incomplete` (GuideLLM 0.8 `request_stats.py`), each
in the order of their ends, with moments in seconds of the wall clock. Of the tokens of a stream it keeps the first and
the last moment and their number, so there are no gaps: ITL has no percentiles, and SLOs are judged by TPOT.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from pdctl.bench.drivers.verdict_of import judged
from pdctl.bench.point import Point
from pdctl.bench.row import Row
from pdctl.errors import BenchError
from pdctl.perf.workload import Asked

LIMITS = (
    "GuideLLM keeps no times of single tokens: there is no ITL, and the p99 of a request's gaps is judged by TPOT",
    "it tells no abort and no cut; an answer with fewer tokens than were asked for is `cut`, whatever its cause",
)


class Timings(BaseModel):
    """Wall clock, in seconds. `targeted_start`: when the request was due."""

    targeted_start: float | None = None
    request_start: float | None = None
    first_token_iteration: float | None = None
    last_token_iteration: float | None = None
    token_iterations: int = 0
    request_end: float | None = None
    resolve_end: float | None = None

    @property
    def started(self) -> float:
        return self.request_start or self.targeted_start or 0.0

    @property
    def ended(self) -> float:
        return self.request_end or self.resolve_end or self.started


class Info(BaseModel):
    """`error` is set of a request that failed."""

    timings: Timings
    error: str | None = None


class Sent(BaseModel):
    """One request."""

    request_id: str
    request_args: str | None = None
    info: Info
    prompt_tokens: int | None = None
    output_tokens: int | None = None

    @property
    def osl(self) -> int | None:
        """What it asked for, by its own body."""
        try:
            body = json.loads(self.request_args or "{}").get("body") or {}
        except (ValueError, AttributeError):
            return None
        asked = body.get("max_tokens") or body.get("max_completion_tokens")
        return asked if isinstance(asked, int) else None


class Lists(BaseModel):
    successful: list[Sent] = Field(default_factory=list)
    errored: list[Sent] = Field(default_factory=list)
    incomplete: list[Sent] = Field(default_factory=list)


class Benchmark(BaseModel):
    requests: Lists


class Report(BaseModel):
    """The file. One benchmark was asked for, so one is there."""

    benchmarks: list[Benchmark] = Field(min_length=1)


def read_report(data: bytes) -> tuple[Report, dict[str, Any]]:
    """The parsed file, and its summary (all but the requests). Raises BenchError."""
    try:
        whole = json.loads(data)
        report = Report.model_validate(whole)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"])) or "the file"
        raise BenchError(f"GuideLLM's report cannot be read: {where}: {problem['msg']}", hint="run it again") from None
    except ValueError as error:
        raise BenchError(f"GuideLLM's report is no JSON: {error}", hint="run it again") from None
    one = {key: value for key, value in whole["benchmarks"][0].items() if key not in ("requests", "config")}
    return report, {"metadata": whole.get("metadata"), "benchmark": one}


def rows_of(report: Report, point: Point, *, exact: bool) -> tuple[Row, ...]:
    """In the order of the point's requests. `exact`: offered when the workload offers them; else the tool drew the
    moments. Raises BenchError where one that was asked for is not in the report."""
    asked, lists = point.workload.asked, report.benchmarks[0].requests
    sent = [*lists.successful, *lists.errored, *lists.incomplete]
    places = _places(sent, asked)
    if missing := len(asked) - len(places):
        raise BenchError(f"GuideLLM reports nothing of {missing} of {len(asked)} requests", hint="run it again")
    due = {position: _due(sent[place]) for position, place in places.items()}
    zero = min((moment - (asked[position].at_s if exact else 0.0) for position, moment in due.items()), default=0.0)
    return tuple(_row(sent[places[position]], point, position, zero, exact) for position in range(len(asked)))


def _places(sent: Sequence[Sent], asked: Sequence[Asked]) -> dict[int, int]:
    """Position of a request -> its place in `sent`. They bear no name of ours, so they are told by when they were due
    and by the output length that they asked for."""
    free = dict(enumerate(asked))
    places = {}
    for place in sorted(range(len(sent)), key=lambda place: (_due(sent[place]), sent[place].info.timings.started)):
        osl = sent[place].osl
        position = next((index for index, item in free.items() if osl in (None, item.osl)), None)
        if position is not None:
            del free[position]
            places[position] = place
    return places


def _due(sent: Sent) -> float:
    timings = sent.info.timings
    return timings.targeted_start if timings.targeted_start is not None else timings.started


def _row(sent: Sent, point: Point, position: int, zero: float, exact: bool) -> Row:
    item, timings = point.workload.asked[position], sent.info.timings
    first, tokens = timings.first_token_iteration, sent.output_tokens or timings.token_iterations
    error = " ".join((sent.info.error or "").split())
    if not error and timings.request_end is None:
        error = "not finished"
    outcome, refusal, trouble = judged(error, max(tokens, timings.token_iterations), item.osl)
    at_s = item.at_s if exact else _due(sent) - zero
    return Row(
        index=point.index(position),
        request_id=sent.request_id,
        at_s=at_s,
        sent_s=max(at_s, timings.started - zero),
        isl=item.isl,
        osl=item.osl,
        outcome=outcome,
        ttft_s=first - timings.started if first is not None else None,
        e2el_s=(timings.last_token_iteration or timings.ended) - timings.started,
        gaps_s=(),
        tokens=tokens,
        prompt_tokens=sent.prompt_tokens,
        refusal=refusal,
        error=trouble,
    )
