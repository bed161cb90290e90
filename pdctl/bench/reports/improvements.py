"""Tables of improvements as Moreh's report has them: one a metric, the first deployment the baseline. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from pdctl.bench.figures.improvement import Comparison, Improvement, LoadKey, Seeds, compare, geometric_mean
from pdctl.bench.figures.metric import METRICS, MOREH, Metric
from pdctl.bench.reports.entry import Load, Report
from pdctl.bench.reports.words import amount, ratio, seconds, share
from pdctl.model.events import plain
from pdctl.ssh.text import printable


@dataclass(frozen=True, slots=True)
class Versus:
    """One deployment against the baseline, by one metric."""

    base: str
    other: str
    metric: Metric
    comparison: Comparison

    def row(self, key: LoadKey) -> Improvement | None:
        """Of that scenario and load; None where one of both was not measured there."""
        return next((row for row in self.comparison.rows if row.key == key), None)

    def mean_of(self, scenario: str) -> float | None:
        """The geometric mean over one scenario's loads."""
        return geometric_mean(row.ratio for row in self.comparison.rows if row.key[0] == scenario)


def versus(report: Report, metrics: Sequence[str] = MOREH) -> tuple[tuple[Versus, ...], ...]:
    """Per metric, every other deployment against the first; empty of fewer than two."""
    names = report.deployments
    if len(names) < 2:
        return ()
    measured = {name: _by_load(report, name) for name in names}
    return tuple(
        tuple(
            Versus(names[0], other, METRICS[metric], compare(measured[names[0]], measured[other], METRICS[metric]))
            for other in names[1:]
        )
        for metric in metrics
    )


def _by_load(report: Report, deployment: str) -> dict[LoadKey, Seeds]:
    found: dict[LoadKey, Seeds] = {}
    for scenario in report.scenarios:
        for group in report.of(deployment, scenario):
            found[scenario, group[0].load.name] = {entry.seed: entry.figures for entry in group}
    return found


def said(metric: Metric, value: float | None) -> str:
    """A value of the metric with its unit in few characters."""
    if value is None:
        return "-"
    if metric.name == "attainment":
        return share(value)
    if metric.unit in ("s", "ms"):
        return seconds(value / (1e3 if metric.unit == "ms" else 1.0))
    return amount(value)


def keys(table: Sequence[Versus]) -> tuple[LoadKey, ...]:
    """Scenarios as they were measured, loads from light to heavy."""
    found = dict.fromkeys(row.key for each in table for row in each.comparison.rows)
    scenarios = list(dict.fromkeys(scenario for scenario, _ in found))
    return tuple(sorted(found, key=lambda key: (scenarios.index(key[0]), Load.read(key[1]).order)))


def improvement_cells(table: Sequence[Versus]) -> tuple[list[list[str]], list[list[str]]]:
    """Rows of (scenario, load, baseline, other, ratio, …) and, below them, geometric means; the first row is heads."""
    base, metric = table[0].base, table[0].metric
    rows = [["scenario", "load", base, *(word for each in table for word in (each.other, "ratio"))]]
    for key in keys(table):
        found = [each.row(key) for each in table]
        first = next(row for row in found if row is not None)
        cells = [word for row in found for word in _cells(metric, row)]
        rows.append([*key, said(metric, first.base), *cells])
    scenarios = list(dict.fromkeys(scenario for scenario, _ in keys(table)))
    means = [
        ["geomean", scenario, "", *(word for each in table for word in ("", ratio(each.mean_of(scenario))))]
        for scenario in (scenarios if len(scenarios) > 1 else ())
    ]
    overall = (word for each in table for word in ("", ratio(each.comparison.geometric_mean)))
    return rows, [*means, ["geomean", "all", "", *overall]]


def _cells(metric: Metric, row: Improvement | None) -> tuple[str, str]:
    """`118s`, `1.76x`; a ratio that the seeds leave in doubt has a `?`."""
    if row is None:
        return "-", "-"
    doubt = "?" if row.certain is False else ""
    return said(metric, row.other), ratio(row.ratio) + doubt


def improvement_lines(report: Report, metrics: Sequence[str] = MOREH) -> list[Text]:
    """For a terminal: a table a metric."""
    lines: list[Text] = []
    doubtful = False
    for table in versus(report, metrics):
        metric = table[0].metric
        better = "higher" if metric.higher_is_better else "lower"
        lines.append(Text(f"{metric.title} ({better} is better)", style="bold"))
        rows, means = improvement_cells(table)
        doubtful = doubtful or any(cell.endswith("x?") for row in rows for cell in row)
        lines += aligned([*rows, *means], means=len(means))
        lines.append(Text())
    if doubtful:
        lines.append(Text("? within the noise of the seeds (95 %)", style="dim"))
    return lines


def aligned(rows: Sequence[Sequence[str]], *, means: int = 0, left: Sequence[int] = (0, 1)) -> list[Text]:
    """Cells in columns, those of `left` to the left; the first row is heads, the last `means` stand out."""
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = []
    for number, row in enumerate(cells):
        sized = enumerate(zip(row, widths, strict=True))
        words = [f"{cell:<{width}}" if at in left else f"{cell:>{width}}" for at, (cell, width) in sized]
        style = "dim" if number == 0 else "bold" if number >= len(cells) - means else ""
        lines.append(Text("  ".join(words).rstrip(), style=style))
    return lines


def improvements_document(report: Report, metrics: Sequence[str] = MOREH) -> list[dict[str, Any]]:
    """JSON-able: a list of metrics, each with every deployment against the baseline."""
    return [
        {
            "metric": each.metric.name,
            "unit": each.metric.unit,
            "higher_is_better": each.metric.higher_is_better,
            "base": each.base,
            "other": each.other,
            "rows": [
                {**plain(row), "key": {"scenario": row.key[0], "load": row.key[1]}, "certain": row.certain}
                for row in each.comparison.rows
            ],
            "geometric_mean": each.comparison.geometric_mean,
            "by_scenario": {scenario: each.mean_of(scenario) for scenario in report.scenarios},
            "missing": [{"scenario": scenario, "load": load} for scenario, load in each.comparison.missing],
        }
        for table in versus(report, metrics)
        for each in table
    ]
