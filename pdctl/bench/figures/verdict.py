"""Whether one request met its targets. Pure."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pdctl.bench.figures.figures import Criterion
from pdctl.bench.figures.spread import quantile
from pdctl.bench.row import Row
from pdctl.model.deployment import Slo

CountedFrom: TypeAlias = Literal["sent", "due"]
"""From when a latency counts: from when the request was sent, as `vllm bench serve` does, or from when it was due, so
that a wait at the client (the concurrency limit's, or a slow client's) is part of it."""


def ttft_s(row: Row, counted_from: CountedFrom = "sent") -> float | None:
    """Seconds to the first token; None where none was seen on its own."""
    if row.ttft_s is None:
        return None
    return row.ttft_s + (row.queued_s if counted_from == "due" else 0.0)


def e2el_s(row: Row, counted_from: CountedFrom = "sent") -> float:
    """Seconds to the end of the answer."""
    return row.e2el_s + (row.queued_s if counted_from == "due" else 0.0)


def p99_itl_s(row: Row) -> float | None:
    """The 99th percentile of the request's own gaps, between neighbours as NumPy's; their mean (TPOT), where a client
    keeps no single gaps (GuideLLM); None of an answer of one token."""
    return quantile(sorted(row.gaps_s), 0.99) if row.gaps_s else row.tpot_s


def met(row: Row, slo: Slo, criterion: Criterion = Criterion.P99_ITL, counted_from: CountedFrom = "sent") -> bool:
    """Whether an ok request had its first token within `slo.ttft_s`, and met `slo.itl_s` by `criterion`; a target hit
    exactly is met, as `vllm bench serve --goodput` counts.

    An answer of one token has no gap and meets the second. One whose first token was not seen (not streamed) cannot
    be said to have met anything.
    """
    first_s = ttft_s(row, counted_from)
    if not row.ok or first_s is None or first_s > slo.ttft_s:
        return False
    pace_s = row.tpot_s if criterion is Criterion.TPOT else p99_itl_s(row)
    return pace_s is None or pace_s <= slo.itl_s
