"""One line for all seeds of a point: what tables and charts show of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pdctl.bench.figures.figures import Criterion, Figures
from pdctl.bench.figures.spread import Spread
from pdctl.bench.reports.entry import Entry, Load, Report
from pdctl.bench.reports.request import Verdict
from pdctl.model.deployment import Slo


@dataclass(frozen=True, slots=True)
class Summary:
    """Means over the seeds; attainment is that of all their requests together. None: not known."""

    deployment: str
    scenario: str
    load: Load
    seeds: tuple[int, ...]
    ok: int
    failed: int
    attainment: float
    goodput_per_s: float
    requests_per_s: float
    tps_total: float
    tps_out: float
    ttft_median_s: float | None
    ttft_p99_s: float | None
    itl_mean_s: float | None
    itl_p99_s: float | None
    tpot_median_s: float | None
    e2el_median_s: float | None
    e2el_p99_s: float | None
    tpsu: float | None
    tpsg: float | None
    tokens_per_usd: float | None
    warnings: tuple[str, ...]


def summaries(report: Report) -> tuple[Summary, ...]:
    """By scenario, deployment and load, each in the report's order."""
    return tuple(summary(group, report.slo, report.criterion) for group in report.groups)


def summary(group: Sequence[Entry], slo: Slo, criterion: Criterion) -> Summary:
    """Of the seeds of one point, at least one."""
    first = group[0]
    figures = [entry.figures for entry in group]
    good = [sum(each.verdict(slo, criterion) is Verdict.MET for each in entry.requests) for entry in group]
    offered = sum(len(entry.requests) for entry in group)
    rates = [_rate(count, each.duration_s) for count, each in zip(good, figures, strict=True)]

    def latency(of: Callable[[Figures], Spread | None], quantile: Callable[[Spread], float]) -> float | None:
        return _mean([None if (spread := of(each)) is None else quantile(spread) for each in figures])

    return Summary(
        deployment=first.deployment,
        scenario=first.scenario,
        load=first.load,
        seeds=tuple(entry.seed for entry in group),
        ok=sum(each.counts.ok for each in figures),
        failed=sum(each.counts.failed for each in figures),
        attainment=sum(good) / offered if offered else 0.0,
        goodput_per_s=math.fsum(rates) / len(rates),
        requests_per_s=_sure([each.requests_per_s for each in figures]),
        tps_total=_sure([each.tps_total for each in figures]),
        tps_out=_sure([each.tps_out for each in figures]),
        ttft_median_s=latency(lambda each: each.ttft, lambda spread: spread.median_s),
        ttft_p99_s=latency(lambda each: each.ttft, lambda spread: spread.p99_s),
        itl_mean_s=latency(lambda each: each.itl, lambda spread: spread.mean_s),
        itl_p99_s=latency(lambda each: each.itl, lambda spread: spread.p99_s),
        tpot_median_s=latency(lambda each: each.tpot, lambda spread: spread.median_s),
        e2el_median_s=latency(lambda each: each.e2el, lambda spread: spread.median_s),
        e2el_p99_s=latency(lambda each: each.e2el, lambda spread: spread.p99_s),
        tpsu=_mean([each.tpsu for each in figures]),
        tpsg=_mean([each.tpsg for each in figures]),
        tokens_per_usd=_mean([each.tokens_per_usd for each in figures]),
        warnings=tuple(dict.fromkeys(text for each in figures for text in each.warnings)),
    )


def _sure(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _mean(values: Sequence[float | None]) -> float | None:
    """None where one of them is not known: a mean of the others would be of other requests."""
    known = [value for value in values if value is not None]
    return _sure(known) if known and len(known) == len(values) else None


def _rate(count: int, duration_s: float) -> float:
    return count / duration_s if duration_s > 0 else 0.0


def best_rate(points: Sequence[Summary], share: float) -> Summary | None:
    """DistServe's goodput: the highest offered load at which at least `share` of the requests met their targets,
    together with all lighter ones that were measured. None: not even the lightest did."""
    best = None
    for point in sorted(points, key=lambda each: each.load.order):
        if point.attainment < share:
            break
        best = point
    return best


def warnings(points: Sequence[Summary]) -> tuple[str, ...]:
    """What makes figures less than they seem; what is the same of several loads of a deployment is said once."""
    places: dict[tuple[str, str], list[str]] = {}
    for point in points:
        for text in point.warnings:
            places.setdefault((point.deployment, text), []).append(point.load.name)
    return tuple(f"{deployment} {', '.join(loads)}: {text}" for (deployment, text), loads in places.items())
