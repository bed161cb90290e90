"""Results of single requests -> the report of a load. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from pdctl.bench.figures.spread import quantile
from pdctl.model.load import LoadReport, Quantiles
from pdctl.model.outcome import Outcome, OutcomeCounts, RequestResult

_FAILURES_NAMED = 5


def summarise(results: Sequence[RequestResult], took_s: float) -> LoadReport:
    """The report of `results`, which took `took_s` seconds in all. Latencies and rates count ok requests only."""
    ok = [result for result in results if result.outcome is Outcome.OK]
    tokens = sum(result.tokens for result in ok)
    streamed = sum(result.streamed for result in results)
    failures = Counter(f"{item.outcome}: {item.detail}" for item in results if item.outcome.failed)
    return LoadReport(
        counts=OutcomeCounts.of(result.outcome for result in results),
        streamed=streamed,
        buffered=len(results) - streamed,
        took_s=took_s,
        tokens=tokens,
        tokens_per_s=tokens / took_s if took_s > 0 else 0.0,
        ttft=_quantiles(result.ttft_s for result in ok if result.ttft_s is not None),
        itl=_quantiles(gap for result in ok for gap in result.itls_s),
        e2el=_quantiles(result.e2el_s for result in ok),
        failures=tuple(failures.most_common(_FAILURES_NAMED)),
    )


def _quantiles(samples: Iterable[float]) -> Quantiles | None:
    ordered = sorted(samples)
    if not ordered:
        return None
    return Quantiles(quantile(ordered, 0.5), quantile(ordered, 0.99), len(ordered))
