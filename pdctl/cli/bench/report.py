"""`pdctl bench report`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
from rich.console import Console

from pdctl.bench.figures.figures import Criterion
from pdctl.bench.reports.entry import Report
from pdctl.bench.reports.export import as_document, figures_csv, requests_csv
from pdctl.bench.reports.page import html_page
from pdctl.bench.reports.plot import Room
from pdctl.bench.reports.reading import read_report
from pdctl.bench.reports.terminal import Part, report_lines
from pdctl.cli.duration_type import DURATION
from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.errors import UsageError
from pdctl.model.deployment import Slo

WIDE = 100
"""Columns where the output is no terminal."""
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("report")
@click.argument("directories", nargs=-1, required=True, metavar="DIR...", type=click.Path(path_type=Path))
@click.option("--ttft", "ttft_s", type=DURATION, help="Judge requests by this TTFT instead of the run's own.")
@click.option("--itl", "itl_s", type=DURATION, help="… and by this ITL.")
@click.option(
    "--criterion", type=click.Choice([each.value for each in Criterion]), help="What of its gaps must meet it."
)
@click.option("--attainment", type=click.FloatRange(0.0, 1.0), help="The share of requests that has to meet them.")
@click.option("--scenario", "scenarios", multiple=True, help="Only these.")
@click.option("--load", help="The load whose requests are shown one by one, as r8 or c320.")
@click.option(
    "--show",
    "parts",
    multiple=True,
    type=click.Choice([each.value for each in Part]),
    help="Only these parts; more than one with several --show.",
)
@click.option("--html", type=_FILE, help="Write one self-contained page, with sliders for the targets.")
@click.option("--csv", "csv_file", type=_FILE, help="Write a line a point, with the file of its rows.")
@click.option("--requests-csv", "requests_file", type=_FILE, help="Write a line a request.")
@click.option("--title", default="", help="The page's title.")
@click.option("--ascii", "ascii_only", is_flag=True, help="No other characters than ASCII.")
@click.pass_obj
def command(
    options: Globals,
    directories: tuple[Path, ...],
    ttft_s: float | None,
    itl_s: float | None,
    criterion: str | None,
    attainment: float | None,
    scenarios: tuple[str, ...],
    load: str | None,
    parts: tuple[str, ...],
    html: Path | None,
    csv_file: Path | None,
    requests_file: Path | None,
    title: str,
    ascii_only: bool,
) -> int:
    """Show what the runs in DIR... measured: tables, charts, and every request by the targets that it met or missed.

    Several directories are shown side by side.
    """
    report = read_report(directories, criterion=None if criterion is None else Criterion(criterion))
    report = report.judged_by(_slo(report.slo, ttft_s, itl_s, attainment)).only(scenarios)
    if not report.entries:
        raise UsageError(f"no such scenario was measured: {', '.join(scenarios)}", hint="leave out --scenario")
    written = []
    if html is not None:
        written.append(_write(html, html_page(report, title=title or _title(report))))
    if csv_file is not None:
        written.append(_write(csv_file, figures_csv(report)))
    if requests_file is not None:
        written.append(_write(requests_file, requests_csv(report)))
    if options.json:
        say_json(options, "bench_report", {**as_document(report), "written": written}, cluster="")
        return 0
    if not written or parts:
        show(report, [Part(each) for each in parts] or list(Part), load=load, ascii_only=ascii_only)
    for name in written:
        click.echo(name)
    return 0


def show(report: Report, parts: list[Part], *, load: str | None = None, ascii_only: bool = False) -> None:
    """Print the report, as wide as the terminal; colours only where there is one and NO_COLOR is not set."""
    terminal = sys.stdout.isatty()
    console = Console(width=None if terminal or "COLUMNS" in os.environ else WIDE, highlight=False)
    room = Room(console.width, ascii_only=ascii_only or not (sys.stdout.encoding or "").lower().startswith("utf"))
    for line in report_lines(report, parts, room, load=load):
        console.print(line, soft_wrap=True)


def _slo(slo: Slo, ttft_s: float | None, itl_s: float | None, attainment: float | None) -> Slo:
    return Slo(
        slo.ttft_s if ttft_s is None else ttft_s,
        slo.itl_s if itl_s is None else itl_s,
        slo.attainment if attainment is None else attainment,
    )


def _title(report: Report) -> str:
    models = {target.model for meta in report.meta.values() for target in meta.definition.targets.values()}
    return f"{', '.join(sorted(models))}: {', '.join(report.deployments)}"


def _write(path: Path, text: str) -> str:
    try:
        path.write_text(text)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}", hint="name a file of yours") from error
    return str(path)
