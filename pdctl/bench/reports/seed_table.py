"""How sure a report's figures are: means over the seeds of a point, with their interval of confidence. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.text import Text

from pdctl.bench.figures.metric import METRICS, Metric
from pdctl.bench.figures.seeds import Mean, mean, over_seeds
from pdctl.bench.reports.entry import Entry, Report
from pdctl.bench.reports.request import Verdict
from pdctl.bench.reports.words import amount, seconds
from pdctl.ssh.text import printable

_NAME = 24
SHOWN = ("attainment", "tps", "e2el", "ttft", "itl-p99")


def seed_means(group: Sequence[Entry], report: Report) -> dict[str, Mean]:
    """Of the seeds of one point, by metric; attainment and goodput by the report's targets."""
    means = over_seeds([entry.figures for entry in group])
    met = [_met(entry, report) for entry in group]
    shares = [count / len(entry.requests) if entry.requests else 0.0 for count, entry in zip(met, group, strict=True)]
    rates = [
        count / entry.figures.duration_s if entry.figures.duration_s > 0 else 0.0
        for count, entry in zip(met, group, strict=True)
    ]
    judged = {"attainment": mean(shares), "goodput": mean(rates)}
    return means | {name: found for name, found in judged.items() if found is not None}


def seed_lines(report: Report, scenario: str, columns: int) -> Iterator[Text]:
    """A line for every point that was measured with several seeds: mean +- half of the 95 % interval, of as many
    metrics as `columns` have room for."""
    groups = [group for name in report.deployments for group in report.of(name, scenario) if len(group) > 1]
    if not groups:
        yield Text("one seed a point: how much another would differ is not known (--seeds 0,1,2)", style="dim")
        return
    yield Text("Means over seeds, +- half of their 95 % interval (Student)", style="bold")
    rows = [["deployment", "load", "seeds", *(METRICS[name].title for name in SHOWN)]]
    for group in groups:
        means = seed_means(group, report)
        cells = [_cell(METRICS[name], means.get(name)) for name in SHOWN]
        rows.append([printable(group[0].deployment)[:_NAME], printable(group[0].load.name), str(len(group)), *cells])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    fitting = [column for column in range(len(widths)) if sum(widths[: column + 1]) + 2 * column <= columns]
    for number, row in enumerate(rows):
        words = [f"{row[at]:<{widths[at]}}" if at < 2 else f"{row[at]:>{widths[at]}}" for at in fitting]
        yield Text("  ".join(words).rstrip(), style="dim" if number == 0 else "")


def seed_document(report: Report) -> list[dict[str, Any]]:
    """JSON-able: every point with the mean of each metric; `low` and `high` are null with one seed."""
    return [
        {
            "deployment": group[0].deployment,
            "scenario": group[0].scenario,
            "load": group[0].load.name,
            "seeds": [entry.seed for entry in group],
            "means": {
                name: {"mean": found.value, "low": found.low, "high": found.high, "unit": METRICS[name].unit}
                for name, found in seed_means(group, report).items()
            },
        }
        for group in report.groups
    ]


def _met(entry: Entry, report: Report) -> int:
    return sum(each.verdict(report.slo, report.criterion) is Verdict.MET for each in entry.requests)


def _cell(metric: Metric, found: Mean | None) -> str:
    if found is None or found.half is None:
        return "-"
    if metric.unit in ("s", "ms"):
        scale = 1e-3 if metric.unit == "ms" else 1.0
        return f"{seconds(found.value * scale)} +-{seconds(found.half * scale)}"
    if metric.name == "attainment":
        return f"{found.value:.1%} +-{found.half:.1%}"
    return f"{amount(found.value)} +-{amount(found.half)}"
