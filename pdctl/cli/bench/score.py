"""`pdctl bench score`."""

from __future__ import annotations

import os
import sys
from itertools import accumulate, pairwise
from pathlib import Path

import click
from rich.console import Console

from pdctl.bench.figures.moves import read_moves
from pdctl.bench.figures.score import TARGET
from pdctl.bench.reports.scores import Course, goodputs, peer_files, score_run, write_peer_files
from pdctl.bench.runs.read import Run, read_run
from pdctl.cli.bench.mistakes import Mistakes
from pdctl.cli.bench.score_text import as_json, lines
from pdctl.cli.duration_type import DURATION
from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.errors import PdctlError, UsageError
from pdctl.model.deployment import Slo
from pdctl.model.role import Role
from pdctl.perf.days.ratio import Ratio
from pdctl.perf.walk import Station

WIDE = 140
"""Columns where the output is no terminal."""


@click.command("score")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--ttft", "ttft_s", type=DURATION, help="Target of the first token instead of the run's own.")
@click.option(
    "--tpot", "tpot_s", type=DURATION, help="Target of the mean time per output token; default: the run's ITL."
)
@click.option("--target", type=click.FloatRange(0.0, 1.0), default=TARGET, show_default=True, help="Of goodput.")
@click.option(
    "--events",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What `pdctl events --json` printed: the moves that were made meanwhile.",
)
@click.option("--start", help="The split of slots before the first of those moves, as 3P3D.")
@click.option("--stations", help="The right split of each phase, as 4P2D,5P1D,4P2D.")
@click.option("--phase", "phases", help="How long a phase is, or each of them: 20m, or 20m,20m,10m.")
@click.option("--journal", type=click.Path(file_okay=False, path_type=Path), help="Write the peer's files there.")
@click.pass_obj
def command(
    options: Globals,
    directory: Path,
    ttft_s: float | None,
    tpot_s: float | None,
    target: float,
    events: Path | None,
    start: str | None,
    stations: str | None,
    phases: str | None,
    journal: Path | None,
) -> int:
    """Score the run in DIR as Narwhal's tools score theirs, so that the two can be compared.

    A request is met if it came whole, with all its tokens, its TTFT and its mean TPOT within the targets; refusals are
    misses. With --events also: requests in flight at moves, reversals an hour, and, with --stations, how soon and how
    long the split was right. --journal writes rows and moves in the columns that those tools read.
    """
    run = read_run(directory)
    course = _course(run, events, start, stations, phases)
    scored = score_run(run, _slo(run, ttft_s, tpot_s), course)
    if not scored:
        raise UsageError(f"{directory}: no point has been measured yet", hint="go on with `pdctl bench run --resume`")
    goods = goodputs(scored, target)
    written = _written(journal, peer_files(run, scored)) if journal is not None else []
    if options.json:
        say_json(options, "bench_score", {**as_json(scored, goods, target), "written": written}, cluster="")
        return 0
    wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDE
    console = Console(width=wide, highlight=False)
    for line in lines(scored, goods, target):
        console.print(line, soft_wrap=True)
    for name in written:
        click.echo(name)
    return 0


def _slo(run: Run, ttft_s: float | None, tpot_s: float | None) -> Slo:
    own = run.meta.definition.slo
    if own is None and (ttft_s is None or tpot_s is None):
        raise UsageError("the run has no targets of its own", hint="give --ttft and --tpot")
    return Slo(
        ttft_s if ttft_s is not None else own.ttft_s if own else 0.0,
        tpot_s if tpot_s is not None else own.itl_s if own else 0.0,
        own.attainment if own else TARGET,
    )


def _course(
    run: Run, events: Path | None, start: str | None, stations: str | None, phases: str | None
) -> Course | None:
    if events is None and start is None and stations is None and phases is None:
        return None
    wrong = Mistakes()
    if start is None:
        wrong.add("without --start it is not known which split the moves began from", "--start 3P3D")
    if (stations is None) != (phases is None):
        wrong.add("--stations and --phase belong together", "--stations 4P2D,5P1D --phase 20m")
    split = wrong.read("--start", start, Ratio.parse)
    wanted = wrong.read("--stations", stations, lambda text: [Ratio.parse(each) for each in text.split(",")])
    lasting = wrong.read("--phase", phases, _durations)
    if wanted and lasting and len(lasting) not in (1, len(wanted)):
        wrong.add(f"{len(lasting)} durations for {len(wanted)} stations", "one for all, or one for each")
    wrong.refuse("bench score")
    moves = () if events is None else read_moves(events.read_text().splitlines(), str(events), _roles(run))
    assert split is not None
    return Course((split.prefill, split.decode), moves, _stations(wanted or [], lasting or []))


def _roles(run: Run) -> dict[str, Role]:
    """The role of each pool, by the run's inventory as it is now; none where it is gone, or was a URL: pools are then
    known by their names."""
    path = Path(run.meta.inventory)
    if not path.is_file():
        return {}
    from pdctl.inventory.load import load

    try:
        return {name: pool.role for name, pool in load(path).spec.pools.items()}
    except PdctlError:
        return {}


def _stations(wanted: list[Ratio], lasting: list[float]) -> tuple[Station, ...]:
    each_s = lasting * len(wanted) if len(lasting) == 1 else lasting
    bounds = pairwise(accumulate(each_s, initial=0.0))
    return tuple(
        Station(begin_s, end_s, ratio.prefill, ratio.decode)
        for (begin_s, end_s), ratio in zip(bounds, wanted, strict=True)
    )


def _durations(text: str) -> list[float]:
    return [DURATION.convert(each.strip(), None, None) for each in text.split(",")]


def _written(directory: Path, files: dict[str, str]) -> list[str]:
    try:
        return write_peer_files(directory, files)
    except OSError as error:
        raise UsageError(f"{directory}: {error.strerror or error}", hint="name a directory of yours") from error
