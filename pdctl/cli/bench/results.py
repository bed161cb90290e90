"""`pdctl bench results`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from pdctl.bench.figures.tool_result import Latency
from pdctl.bench.reports.tool_results import Named, results_at
from pdctl.cli.bench.option_lists import positive
from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.errors import UsageError
from pdctl.text.escape import one_line

WIDE = 160
"""Columns where the output is no terminal."""
_HEADS = (
    "result",
    "ok",
    "failed",
    "req/s",
    "tok/s out",
    "tok/s",
    "TTFT",
    "p99",
    "TPOT",
    "p99",
    "ITL",
    "p99",
    "E2EL",
    "p99",
)


@click.command("results")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path))
@click.option("--percentiles", default="99", show_default=True, help="For --write, as 50,90,99.")
@click.option("--detailed", is_flag=True, help="For --write: a list entry per request, as --save-detailed.")
@click.option(
    "--write", "directory", type=click.Path(file_okay=False, path_type=Path), help="Write a file per point there."
)
@click.pass_obj
def command(options: Globals, paths: tuple[Path, ...], percentiles: str, detailed: bool, directory: Path | None) -> int:
    """Show results side by side in the terms of `vllm bench serve`, medians and p99 in ms.

    PATH is a run's directory, or a file that `vllm bench serve --save-result` or SGLang's bench_serving wrote. With
    --write the points of runs are written as that tool writes its results, field by field.
    """
    wanted = _percentiles(percentiles)
    found = [
        each
        for path in dict.fromkeys(paths)
        for each in results_at(path, wanted, detailed=detailed, beside_others=len(paths) > 1)
    ]
    written = _write(directory, found) if directory is not None else []
    if options.json:
        body = {"results": [{"name": each.name, **asdict(each.result)} for each in found], "written": written}
        say_json(options, "bench_results", body, cluster="")
        return 0
    wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDE
    Console(width=wide, highlight=False).print(_table(found))
    for each in found:
        for warning in each.result.warnings:
            click.echo(f"{one_line(each.name)}: {warning}")
    for name in written:
        click.echo(name)
    return 0


def _table(found: Sequence[Named]) -> Table:
    table = Table(box=None, pad_edge=False)
    for place, head in enumerate(_HEADS):
        table.add_column(head, justify="right" if place else "left", no_wrap=bool(place), overflow="fold")
    for each in found:
        result = each.result
        table.add_row(
            one_line(each.name),
            str(result.completed),
            "?" if result.failed is None else str(result.failed),
            f"{result.requests_per_s:.3g}",
            f"{result.tps_out:.1f}",
            f"{result.tps_total:.1f}",
            *_cells(result.ttft),
            *_cells(result.tpot),
            *_cells(result.itl),
            *_cells(result.e2el),
        )
    return table


def _cells(latency: Latency | None) -> tuple[str, str]:
    if latency is None:
        return "-", "-"
    p99_s = latency.percentiles.get(99.0)
    return f"{latency.median_s * 1e3:.1f}", "-" if p99_s is None else f"{p99_s * 1e3:.1f}"


def _percentiles(text: str) -> list[float]:
    try:
        found = [positive(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"--percentiles {text}: {error}", hint="--percentiles 50,90,99") from error
    if max(found) > 100:
        raise UsageError(f"--percentiles {text}: {max(found):g} is above 100", hint="--percentiles 50,90,99")
    return found


def _write(directory: Path, found: Sequence[Named]) -> list[str]:
    written = []
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for each in found:
            if each.said:
                path = directory / f"{each.name.strip('./').replace('/', '.')}.json"
                path.write_text(json.dumps(each.said) + "\n")
                written.append(str(path))
    except OSError as error:
        raise UsageError(f"{directory}: {error.strerror or error}", hint="name a directory of yours") from error
    return written
