"""A point's rows as the JSON that `vllm bench serve --save-result` writes, field by field, so that tools which read
those files read ours too.

Names, units (ms where a name says so) and meanings are those of vLLM 0.32, `benchmarks/serve.py` (`calculate_metrics`
and `main_async`): latencies count from when a request was sent; the mean and quantile of no sample is 0; goodput is by
TTFT and TPOT; `max_output_tokens_per_s` counts token events in whole seconds from the first request, and
`max_concurrent_requests` every request that touched a second (so twice the concurrency where requests follow closely).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pdctl.bench.figures.figures import Criterion
from pdctl.bench.figures.spread import quantile, spread
from pdctl.bench.figures.verdict import met
from pdctl.bench.row import Row
from pdctl.model.deployment import Slo


@dataclass(frozen=True, slots=True)
class Told:
    """What the tool is told and writes down. `date`: when the result was written. `request_rate` None: no limit."""

    date: datetime
    backend: str
    model: str
    request_rate: float | None = None
    burstiness: float = 1.0
    max_concurrency: int | None = None
    label: str | None = None
    tokenizer: str | None = None


def vllm_json(
    rows: Sequence[Row],
    took_s: float,
    told: Told,
    *,
    slo: Slo | None = None,
    percentiles: Sequence[float] = (99.0,),
    detailed: bool = False,
) -> dict[str, Any]:
    """The result of a point that took `took_s` seconds. `percentiles` (0..100) as `--metric-percentiles`, `detailed`
    as `--save-detailed`: a list entry per request, in the order of the workload, without the generated texts."""
    ordered = sorted(rows, key=lambda row: row.index)
    ok = [row for row in ordered if row.ok]
    tokens_in, tokens_out = sum(map(_prompt_tokens, ok)), sum(row.tokens for row in ok)
    good = sum(met(row, slo, Criterion.TPOT) for row in ok) if slo is not None else 0
    busiest, crowded = _peaks(ok)
    return {
        **_head(told, len(ordered)),
        "duration": took_s,
        "completed": len(ok),
        "failed": len(ordered) - len(ok),
        "total_input_tokens": tokens_in,
        "total_output_tokens": tokens_out,
        "request_throughput": _rate(len(ok), took_s),
        "request_goodput": _rate(good, took_s) if slo is not None else None,
        "output_throughput": _rate(tokens_out, took_s),
        "total_token_throughput": _rate(tokens_in + tokens_out, took_s),
        **(_detail(ordered) if detailed else {}),
        "max_output_tokens_per_s": float(busiest),
        "max_concurrent_requests": crowded,
        "rtfx": 0.0,
        **_latency("ttft", (row.ttft_s for row in ok if row.ttft_s is not None), percentiles),
        **_latency("tpot", (row.tpot_s for row in ok if row.tpot_s is not None), percentiles),
        **_latency("itl", (gap_s for row in ok for gap_s in row.gaps_s), percentiles),
        **_latency("e2el", (row.e2el_s for row in ok), percentiles),
    }


def _head(told: Told, requests: int) -> dict[str, Any]:
    unlimited = told.request_rate is None or math.isinf(told.request_rate)
    return {
        "date": told.date.strftime("%Y%m%d-%H%M%S"),
        "endpoint_type": told.backend,
        "backend": told.backend,
        "label": told.label,
        "model_id": told.model,
        "tokenizer_id": told.tokenizer or told.model,
        "num_prompts": requests,
        "request_rate": "inf" if unlimited else told.request_rate,
        "burstiness": told.burstiness,
        "max_concurrency": told.max_concurrency,
    }


def _detail(rows: Sequence[Row]) -> dict[str, Any]:
    return {
        "input_lens": [_prompt_tokens(row) for row in rows],
        "output_lens": [row.tokens if row.ok else 0 for row in rows],
        "ttfts": [row.ttft_s or 0.0 for row in rows],
        "itls": [list(row.gaps_s) for row in rows],
        "latencies": [row.e2el_s for row in rows],
        "start_times": [row.sent_s for row in rows],
        "queue_times": [row.queued_s for row in rows],
        "errors": [row.error or row.refusal for row in rows],
    }


def _latency(name: str, samples_s: Iterable[float], percentiles: Sequence[float]) -> dict[str, float]:
    ordered = sorted(samples_s)
    seen = spread(ordered)
    head = (seen.mean_s, seen.median_s, seen.std_s) if seen is not None else (0.0, 0.0, 0.0)
    said = {f"{kind}_{name}_ms": value * 1e3 for kind, value in zip(("mean", "median", "std"), head, strict=True)}
    for percentile in percentiles:
        value = quantile(ordered, percentile / 100) if ordered else 0.0
        said[f"p{percentile:g}_{name}_ms"] = value * 1e3
    return said


def _peaks(ok: Sequence[Row]) -> tuple[int, int]:
    """Most token events in one second, and most requests that touched one."""
    if not ok:
        return 0, 0
    begin_s = min(row.sent_s for row in ok)
    events: Counter[int] = Counter()
    touched: Counter[int] = Counter()
    for row in ok:
        at_s = row.sent_s + (row.e2el_s if row.ttft_s is None else row.ttft_s)
        events[int(at_s - begin_s)] += 1
        for gap_s in row.gaps_s:
            at_s += gap_s
            events[int(at_s - begin_s)] += 1
        touched.update(range(int(row.sent_s - begin_s), int(row.sent_s + row.e2el_s - begin_s) + 1))
    return max(events.values()), max(touched.values())


def _prompt_tokens(row: Row) -> int:
    return row.isl if row.prompt_tokens is None else row.prompt_tokens


def _rate(amount: int, took_s: float) -> float:
    return amount / took_s if took_s > 0 else 0.0
