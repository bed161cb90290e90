"""`pdctl bench compare`."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from pdctl.bench.campaign.contender import FOLDER, contenders, find_inventory
from pdctl.bench.drivers.chosen import DRIVERS
from pdctl.bench.runs.meta import read_meta
from pdctl.cli.bench.compare_perform import Asked, compare, foresee
from pdctl.cli.bench.run_typed import Typed, read
from pdctl.cli.global_options import Globals
from pdctl.cli.session import refuse_read_only
from pdctl.errors import UsageError

_RUNS = Path("bench")
_TEXT_OPTIONS = (
    ("--trace", "FILE", "Requests from a JSONL file, as in `bench run`."),
    ("--segments", "TEXT", "Phases `seconds:isl_lo-isl_hi:osl_lo-osl_hi:mult,…` of --rate times mult."),
    ("--concurrency", "N,N", "So many in flight; with --rate a limit.  [default: the scenario's own loads]"),
    ("--rate", "R|LO-HI:STEP,…", "Requests a second: attainment over rates, as 0.5-10:0.5."),
    ("--arrivals", "KIND", "poisson, constant or bursty, with --rate.  [default: poisson]"),
    ("--requests", "N", "Per point.  [default: the scenario's; else 4 x concurrency, at least 100]"),
    ("--duration", "TIME", "Per point: nothing is sent after that."),
    ("--deadline", "TIME", "The longest that one request may take.  [default: 30m]"),
    ("--seeds", "N,N", "Each point once for each.  [default: 0]"),
    ("--repeats", "N", "The same as --seeds 0,1,…,N-1: how sure the differences are."),
    ("--slo", "ttft=T,itl=T", "Targets of goodput.  [default: the first inventory's]"),
    ("--criterion", "p99-itl|tpot", "Which of a request's times between tokens has to meet itl."),
    ("--counted-from", "sent|due", "From when latencies count.  [default: sent]"),
    ("--driver", "NAME", "Who sends: builtin, vllm, guidellm, aiperf.  [default: builtin]"),
    ("--driver-program", "PROGRAM", "How it is started, on this machine.  [default: by its name]"),
    ("--tokenizer", "PATH", "The tokenizer that it needs.  [default: the inventory's model path]"),
    ("--vocab", "N", "Token ids are drawn below this.  [default: 1000]"),
    ("--warm-up", "N", "Uncounted requests per shape before each point.  [default: 2]"),
    ("--stall", "TIME", "A point for which nothing comes for so long ends.  [default: 2m]"),
)


def _typed_options(function: Any) -> Any:
    for name, metavar, about in reversed(_TEXT_OPTIONS):
        function = click.option(name, metavar=metavar, help=about)(function)
    return function


@click.command("compare")
@click.argument("names", nargs=-1, metavar="INVENTORY...")
@click.option(
    "--scenario",
    multiple=True,
    metavar="NAME",
    help="1k/1k, 1k/8k, 8k/1k, 8k/8k (with the loads that they were published with), mori, llmd, or ISL/OSL in tokens.",
)
@_typed_options
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Where results go; a run there goes on.")
@click.option("--resume", type=click.Path(file_okay=False, path_type=Path), help="Go on with the comparison in DIR.")
@click.option("--anew", is_flag=True, help="With --resume: measure points that were cut from their start.")
@click.option("--skip-checks", is_flag=True, help="Bring up without checking the nodes first.")
@click.option("--dry-run", is_flag=True, help="Say what would be brought up and measured, and the least that it takes.")
@click.pass_context
def command(
    ctx: click.Context,
    names: tuple[str, ...],
    out: Path | None,
    resume: Path | None,
    anew: bool,
    skip_checks: bool,
    dry_run: bool,
    **options: Any,
) -> int:
    """Bring up one INVENTORY after another on the same nodes, send each the same requests, take it down.

    The first one is the baseline. A name is a file, or one in inventories/ without its ending. Ctrl-C takes the present
    one down; `--resume DIR` goes on and repeats nothing that was measured.

    \b
    pdctl bench compare r1-colocated r1-2p3d r1-1p4d --scenario 8k/1k --scenario 1k/8k
    pdctl bench compare standard-2xtp4 mori-1p1d-write --scenario mori --repeats 3
    """
    common: Globals = ctx.obj
    refuse_read_only(common, "bench compare")
    if resume is not None:
        if names:
            raise UsageError("--resume says what is compared", hint="leave the names out")
        return _again(ctx, resume, anew=anew, dry_run=dry_run)
    paths = [find_inventory(name, _places(common)) for name in names]
    compared = contenders(paths)
    typed = Typed(**options)
    if typed.trace is not None:
        typed = replace(typed, trace=str(Path(typed.trace).resolve()))  # --resume may be typed elsewhere
    wanted = read(typed, DRIVERS)
    again = ("compare", *(str(path.resolve()) for path in paths), *typed.arguments())
    asked = Asked(typed, wanted, skip_checks, anew, (*again, *(["--skip-checks"] if skip_checks else [])))
    directory = out or _RUNS / f"{time.strftime('%Y%m%d-%H%M%S')}-compare"
    return foresee(common, compared, asked, directory) if dry_run else compare(common, compared, asked, directory)


def _places(options: Globals) -> list[Path]:
    return [Path(FOLDER), options.inventory.parent, options.inventory.parent / FOLDER]


def _again(ctx: click.Context, directory: Path, *, anew: bool, dry_run: bool) -> int:
    meta = read_meta(directory)
    if meta.arguments[:1] != ("compare",):
        raise UsageError(f"{directory} is no comparison", hint="`pdctl bench run --resume` goes on with other runs")
    words = [*meta.arguments[1:], "--out", str(directory)]
    words += [*(["--anew"] if anew else []), *(["--dry-run"] if dry_run else [])]
    with command.make_context("compare", words, parent=ctx.parent, obj=ctx.obj) as again:
        code: int = command.invoke(again)
    return code
