"""A report for a terminal: a table of every scenario, its charts, and its requests one by one. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum

from rich.text import Text

from pdctl.bench.figures.figures import Criterion
from pdctl.bench.reports.entry import Load, Report
from pdctl.bench.reports.improvements import aligned
from pdctl.bench.reports.plot import Axis, Room, Series, chart
from pdctl.bench.reports.seed_table import seed_lines
from pdctl.bench.reports.strip import strip, strip_legend
from pdctl.bench.reports.summary import Summary, best_rate, summaries, warnings
from pdctl.bench.reports.words import UNKNOWN, amount, ratio, seconds, share
from pdctl.ssh.text import printable


class Part(StrEnum):
    """What a report shows of every scenario."""

    TABLE = "table"
    SEEDS = "seeds"
    ATTAINMENT = "attainment"
    LATENCY = "latency"
    PARETO = "pareto"
    STRIP = "strip"


def report_lines(report: Report, parts: Sequence[Part], room: Room, *, load: str | None = None) -> list[Text]:
    """The report, scenario by scenario. `load`: the one whose requests are shown one by one; None: the heaviest that
    all deployments were measured at."""
    told = summaries(report)
    lines: list[Text] = []
    for scenario in report.scenarios:
        points = [each for each in told if each.scenario == scenario]
        lines += [Text(f"{printable(scenario)}  ({judged(report)})", style="bold underline"), Text()]
        for part in parts:
            lines += [*_PARTS[part](report, points, room, load), Text()]
    return lines


def judged(report: Report) -> str:
    """`SLO: TTFT 1s, P99 ITL 50ms`"""
    pace = "P99 ITL" if report.criterion is Criterion.P99_ITL else "mean TPOT"
    return f"SLO: TTFT {seconds(report.slo.ttft_s)}, {pace} {seconds(report.slo.itl_s)}"


_COLUMNS: tuple[tuple[str, Callable[[Summary], str]], ...] = (
    ("load", lambda each: each.load.name),
    ("ok", lambda each: str(each.ok)),
    ("fail", lambda each: str(each.failed)),
    ("TTFT p50", lambda each: seconds(each.ttft_median_s)),
    ("p99", lambda each: seconds(each.ttft_p99_s)),
    ("ITL p99", lambda each: seconds(each.itl_p99_s)),
    ("E2EL p50", lambda each: seconds(each.e2el_median_s)),
    ("tok/s", lambda each: amount(each.tps_total)),
    ("SLO", lambda each: share(each.attainment)),
)


def _table(report: Report, points: Sequence[Summary], room: Room, load: str | None) -> Iterator[Text]:
    names = [printable(each.deployment) for each in points]
    width = max(room.columns - 62, 10)
    cells = [("deployment", *(head for head, _ in _COLUMNS))]
    cells += [
        (name[:width], *(printable(say(each)) for _, say in _COLUMNS)) for name, each in zip(names, points, strict=True)
    ]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    for number, row in enumerate(cells):
        words = [f"{row[0]:<{widths[0]}}", f"{row[1]:<{widths[1]}}"]
        words += [f"{cell:>{size}}" for cell, size in zip(row[2:], widths[2:], strict=True)]
        yield Text(" ".join(words).rstrip(), style="dim" if number == 0 else "")
    yield from _goodputs(report, points)
    for warning in warnings(points):
        yield Text(f"? {printable(warning)}", style="yellow")


def _seeds(report: Report, points: Sequence[Summary], room: Room, load: str | None) -> Iterator[Text]:
    return seed_lines(report, points[0].scenario, room.columns)


def _goodputs(report: Report, points: Sequence[Summary]) -> Iterator[Text]:
    """The highest rate that each deployment carries, where rates were offered; "at least" where none was too high."""
    if any(each.load.rate_per_s is None for each in points):
        return
    best = {
        name: best_rate([each for each in points if each.deployment == name], report.slo.attainment)
        for name in report.deployments
    }
    first = next(iter(best.values()), None)
    for name, point in best.items():
        rate = None if point is None else point.load.rate_per_s
        heaviest = max((each.load.order for each in points if each.deployment == name), default=None)
        more = "at least " if point is not None and point.load.order == heaviest else ""
        said = "none of the rates" if rate is None else f"{more}{rate:g} req/s"
        base = first.load.rate_per_s if first is not None and first is not point else None
        gain = f" ({ratio(rate / base)})" if rate and base else ""
        yield Text(f"goodput at {share(report.slo.attainment)}: {printable(name)} {said}{gain}")


def load_axis(points: Sequence[Summary]) -> tuple[str, Callable[[Load], float | None]]:
    """The label and the value by which loads are laid out: the concurrency where there is one, else the rate."""
    if any(each.load.concurrency is not None for each in points):
        return "concurrency", lambda load: load.concurrency
    if any(each.load.rate_per_s is not None for each in points):
        return "requests offered a second", lambda load: load.rate_per_s
    return "times the trace's own rate", lambda load: load.times if load.times is not None else 1.0


def _attainment(report: Report, points: Sequence[Summary], room: Room, load: str | None) -> list[Text]:
    label, at = load_axis(points)
    series = _series(report, points, lambda each: at(each.load), lambda each: each.attainment)
    y = Axis("share of requests that met the SLO", lambda value: f"{value:.0%}", low=0.0, high=1.0)
    shares = _shares(report, points) if len(series) > 1 else []
    return [*chart("SLO attainment", series, Axis(label, amount), y, room), *shares]


def _shares(report: Report, points: Sequence[Summary]) -> list[Text]:
    """Loads down, deployments across."""
    at = {(each.load, each.deployment): share(each.attainment) for each in points}
    loads = sorted({each.load for each in points}, key=lambda load: load.order)
    rows = [[load.name, *(at.get((load, name), UNKNOWN) for name in report.deployments)] for load in loads]
    return aligned([["load", *report.deployments], *rows], left=(0,))


def _latency(report: Report, points: Sequence[Summary], room: Room, load: str | None) -> list[Text]:
    series = _series(report, points, lambda each: each.e2el_median_s, lambda each: each.tps_total)
    y = Axis("tokens/s (in and out)", amount)
    return chart("Latency and throughput (upper left is better)", series, Axis("median E2EL", seconds), y, room)


def _pareto(report: Report, points: Sequence[Summary], room: Room, load: str | None) -> list[Text]:
    if all(each.tpsg is None for each in points):
        return [Text("no Pareto chart: the number of GPUs is not known (`--gpus`, or an inventory)", style="dim")]
    series = _series(report, points, lambda each: each.tpsu, lambda each: each.tpsg)
    y = Axis("output tokens/s of a GPU (TPSG)", amount)
    title = "Pareto (upper right is better)"
    return chart(title, series, Axis("output tokens/s of a user (TPSU)", amount), y, room)


def _series(
    report: Report,
    points: Sequence[Summary],
    x: Callable[[Summary], float | None],
    y: Callable[[Summary], float | None],
) -> list[Series]:
    """One for every deployment, also where it has no point here, so that a glyph is the same in every chart."""
    found = []
    for name in report.deployments:
        mine = [(x(each), y(each)) for each in points if each.deployment == name]
        found.append(Series(printable(name), tuple((a, b) for a, b in mine if a is not None and b is not None)))
    return found


def shown_load(points: Sequence[Summary]) -> str | None:
    """The heaviest load that every deployment of the scenario was measured at; None: there is none."""
    names = {each.deployment for each in points}
    common = [
        each.load for each in points if {other.deployment for other in points if other.load == each.load} == names
    ]
    return max(common, key=lambda each: each.order).name if common else None


def _strips(report: Report, points: Sequence[Summary], room: Room, load: str | None) -> Iterator[Text]:
    chosen = load or shown_load(points)
    yield Text(f"Requests at {printable(chosen)}" if chosen else "Requests at the heaviest load of each", style="bold")
    for name in report.deployments:
        groups = report.of(name, points[0].scenario)
        wanted = [group for group in groups if group[0].load.name == chosen] if chosen else list(groups[-1:])
        for group in wanted:
            for entry in group:
                told = [each.verdict(report.slo, report.criterion) for each in entry.requests]
                where = printable(name) if len(group) == 1 else f"{printable(name)} (seed {entry.seed})"
                yield from strip(where if chosen else f"{where}, {printable(entry.load.name)}", told, room)
    yield strip_legend(room)


_PARTS: dict[Part, Callable[[Report, Sequence[Summary], Room, str | None], Sequence[Text] | Iterator[Text]]] = {
    Part.TABLE: _table,
    Part.SEEDS: _seeds,
    Part.ATTAINMENT: _attainment,
    Part.LATENCY: _latency,
    Part.PARETO: _pareto,
    Part.STRIP: _strips,
}
