"""`pdctl bench results`."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

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
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDE
    for line in _lines(found, room):
        click.echo(line)
    for each in found:
        for warning in each.result.warnings:
            click.echo(f"{one_line(each.name)}: {warning}")
    for name in written:
        click.echo(name)
    return 0


def _lines(found: Sequence[Named], room: int) -> list[str]:
    """A table; where it would not fit, a few lines for each result: no figure is ever cut short."""
    rows = [_HEADS, *(_row(each) for each in found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = [
        "  ".join(
            (row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)))
        )
        for row in rows
    ]
    if max(map(len, table)) <= room:
        return table
    return [line for row in rows[1:] for line in _block(row)]


def _block(row: Sequence[str]) -> tuple[str, ...]:
    name, ok, failed, requests, out, total, *latencies = row
    of = (f"{head} {value}" for head, value in zip(_HEADS[6:], latencies, strict=True))
    times = ", ".join(f"{middle} {tail}" for middle, tail in zip(of, of, strict=True))
    return (
        name,
        f"  {ok} ok, {failed} failed; {requests} req/s, {out} tok/s out, {total} tok/s",
        f"  {times}",
    )


def _row(each: Named) -> tuple[str, ...]:
    result = each.result
    return (
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
