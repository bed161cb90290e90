"""`pdctl bench pareto`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.errors import UsageError

if TYPE_CHECKING:
    from pdctl.bench.sizing.pareto import Spot
    from pdctl.cli.bench.pareto_text import Judged


@click.command("pareto")
@click.argument("directories", nargs=-1, metavar="[DIR]...", type=click.Path(path_type=Path))
@click.option(
    "--profile",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also what these phase throughputs let expect, as `bench match` reads and matches them.",
)
@click.option("--tpsu", metavar="N,N", help="Promises to a user to compare at.  [default: round ones in between]")
@click.option("--slo", "slo_text", metavar="ttft=1s,itl=50ms", help="Targets.  [default: the first run's own]")
@click.option("--attainment", type=click.FloatRange(0, 1), help="The share of requests that has to meet them.")
@click.option("--scenario", "scenarios", multiple=True, help="Only these.")
@click.option("--ascii", "ascii_only", is_flag=True, help="No other characters than ASCII.")
@click.pass_obj
def command(
    options: Globals,
    directories: tuple[Path, ...],
    profile: Path | None,
    tpsu: str | None,
    slo_text: str | None,
    attainment: float | None,
    scenarios: tuple[str, ...],
    ascii_only: bool,
) -> int:
    """The Pareto front of deployments: output tokens a second of a user against those of a GPU.

    DIR... are runs of `bench compare` or `bench run`, over candidates (`bench candidates`) and loads. Shows which
    points no other beats, which deployment gives most of a GPU at a promised speed, and which within the targets.

    \b
    pdctl bench candidates 1p-tp1-1d-tp2 2p-tp1-1d-tp2 agg-tp2 agg-tp4 --out candidates
    pdctl bench compare candidates/*.yaml --scenario llmd --concurrency 4,8,16,32,64 --out run
    pdctl bench pareto run --tpsu 25,60
    """
    from pdctl.cli.bench.pareto_text import gather

    if not directories and profile is None:
        raise UsageError("nothing to look at", hint="name runs, or --profile FILE, or both")
    promises = _numbers(tpsu) if tpsu else ()
    found = list(gather(directories, profile, slo_text, attainment, scenarios))
    if not found:
        raise UsageError("no point has both figures", hint="runs need the number of GPUs: an inventory, or --gpus")
    for each in found:
        if options.json:
            say_json(options, "bench_pareto", _body(each, promises), cluster="")
        else:
            _show(each, promises, ascii_only=ascii_only)
    return 0


def _show(judged: Judged, promises: Sequence[float], *, ascii_only: bool) -> None:
    from rich.console import Console

    from pdctl.bench.reports.plot import Room
    from pdctl.cli.bench.pareto_text import lines
    from pdctl.cli.bench.report import WIDE

    terminal = sys.stdout.isatty()
    console = Console(width=None if terminal or "COLUMNS" in os.environ else WIDE, highlight=False)
    room = Room(console.width, ascii_only=ascii_only or not (sys.stdout.encoding or "").lower().startswith("utf"))
    for line in lines(judged, promises, room):
        console.print(line, soft_wrap=True)


def _body(judged: Judged, promises: Sequence[float]) -> dict[str, Any]:
    from pdctl.bench.sizing.pareto import best_within, compared, front
    from pdctl.bench.sizing.pareto import judged as counted
    from pdctl.cli.bench.pareto_text import leads

    spots: tuple[Spot, ...] = judged.spots
    best = front(counted(spots))
    return {
        "scenario": judged.scenario,
        "points": [{**asdict(spot), "on_front": spot in best} for spot in spots],
        "front": [asdict(spot) for spot in best],
        "leads": [{**asdict(each), "gain": each.gain} for each in leads(counted(spots), promises)],
        "measured_beside_matched": [{**asdict(each), "gap": each.gap} for each in compared(spots)],
        "slo": judged.words,
        "best_within_slo": [asdict(spot) for spot in best_within(spots, judged.attainment)],
        "left_out": list(judged.left_out),
    }


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--tpsu takes numbers, not {text!r}", hint="--tpsu 20,25,60") from None
