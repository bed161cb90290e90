"""`pdctl bench diff`."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from pdctl.bench.figures.metric import METRICS
from pdctl.bench.reports.diff import DIFFED, diff, diff_document, diff_lines
from pdctl.bench.runs.read import read_run
from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json


@click.command("diff")
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    type=click.Choice(list(METRICS)),
    help=f"Several with several --metric.  [default: {', '.join(DIFFED)}]",
)
@click.option(
    "--fail-worse",
    "share",
    type=click.FloatRange(0.0),
    metavar="SHARE",
    help="Exit 1 if a figure is worse by more than this, 0.05 for 5 %, and not within the noise.",
)
@click.pass_obj
def command(options: Globals, old: Path, new: Path, metrics: tuple[str, ...], share: float | None) -> int:
    """What changed from the run in OLD to the run in NEW: the same points against each other.

    Above 1x is better. With several seeds the interval of the ratio is given, and a change that it does not support is
    called noise. In what the runs differ besides (version, driver, inventory, targets) is said first.
    """
    found = diff(read_run(old), read_run(new), metrics or DIFFED)
    worse = [each for each in found.changes if share is not None and each.worse_by(share)]
    if options.json:
        say_json(options, "bench_diff", {**diff_document(found), "worse": len(worse)}, cluster="")
    else:
        console = Console(highlight=False)
        for line in diff_lines(found):
            console.print(line, soft_wrap=True)
        if worse:
            click.echo(f"{len(worse)} figures are worse by more than {share:.0%}", err=True)
    return 1 if worse else 0
