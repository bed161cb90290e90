"""`pdctl bench compare`."""

from __future__ import annotations

import asyncio
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from pdctl.bench.campaign.campaign import Campaign, Standing, survey
from pdctl.bench.campaign.contender import FOLDER, Contender, contenders, find_inventory, unfair
from pdctl.bench.campaign.signals import Signals
from pdctl.bench.campaign.stage import ClusterStage
from pdctl.bench.driver import Driver
from pdctl.bench.drivers.builtin import STALL_S, WARM_UP, BuiltinDriver
from pdctl.bench.drivers.chosen import DRIVERS, driver_named
from pdctl.bench.drivers.means import Means
from pdctl.bench.point import Point, Target
from pdctl.bench.reach import layout_of
from pdctl.bench.reports.export import as_document
from pdctl.bench.reports.improvements import improvement_lines, improvements_document
from pdctl.bench.reports.page import html_page
from pdctl.bench.reports.reading import read_report
from pdctl.bench.reports.terminal import Part
from pdctl.bench.runs.definition import define, note_target
from pdctl.bench.runs.directory import open_run
from pdctl.bench.runs.meta import RunMeta, meta_of, read_meta
from pdctl.bench.runs.runner import Manner, Player
from pdctl.cli.bench.compare_view import CompareView
from pdctl.cli.bench.report import show
from pdctl.cli.bench.run_typed import Typed, Wanted, read, refuse_empty
from pdctl.cli.failure import show_failure
from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.cli.session import STOPS, refuse_read_only
from pdctl.control.clock import SystemClock, utc
from pdctl.control.up import UpOptions
from pdctl.errors import BenchError, Interrupted, PdctlError, PlanRefused, UsageError

PAGE = "report.html"


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


@dataclass(frozen=True, slots=True)
class Asked:
    """The command line: what is offered to every deployment, and how. `arguments` say it again."""

    typed: Typed
    wanted: Wanted
    skip_checks: bool
    anew: bool
    arguments: tuple[str, ...]


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
@click.pass_context
def command(
    ctx: click.Context,
    names: tuple[str, ...],
    out: Path | None,
    resume: Path | None,
    anew: bool,
    skip_checks: bool,
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
        return _again(ctx, resume, anew)
    paths = [find_inventory(name, _places(common)) for name in names]
    compared = contenders(paths)
    typed = Typed(**options)
    wanted = read(typed, DRIVERS)
    again = ("compare", *(str(path.resolve()) for path in paths), *typed.arguments())
    asked = Asked(typed, wanted, skip_checks, anew, (*again, *(["--skip-checks"] if skip_checks else [])))
    directory = out or _RUNS / f"{time.strftime('%Y%m%d-%H%M%S')}-compare"
    return _compare(common, compared, asked, directory)


def _places(options: Globals) -> list[Path]:
    return [Path(FOLDER), options.inventory.parent, options.inventory.parent / FOLDER]


def _again(ctx: click.Context, directory: Path, anew: bool) -> int:
    meta = read_meta(directory)
    if meta.arguments[:1] != ("compare",):
        raise UsageError(f"{directory} is no comparison", hint="`pdctl bench run --resume` goes on with other runs")
    words = [*meta.arguments[1:], "--out", str(directory), *(["--anew"] if anew else [])]
    with command.make_context("compare", words, parent=ctx.parent, obj=ctx.obj) as again:
        code: int = command.invoke(again)
    return code


def _compare(options: Globals, compared: Sequence[Contender], asked: Asked, directory: Path) -> int:
    signals = Signals()
    view = CompareView(options, signals)
    try:
        return asyncio.run(_body(options, compared, asked, directory, signals, view))
    except asyncio.CancelledError:
        raise Interrupted("stopped at once", hint=f"go on with `pdctl bench compare --resume {directory}`") from None
    finally:
        view.close()


async def _body(
    options: Globals, compared: Sequence[Contender], asked: Asked, directory: Path, signals: Signals, view: CompareView
) -> int:
    for number in STOPS:
        asyncio.get_running_loop().add_signal_handler(number, signals.ask)
    points = {each.name: asked.wanted.points(each.name) for each in compared}
    refuse_empty([point for each in points.values() for point in each])
    meta = _meta(options, compared, asked, points)
    for text in unfair(compared):
        click.echo(f"? {text}", err=True)
    stage = ClusterStage(view.showing, options.run, UpOptions(skip_checks=asked.skip_checks))
    try:
        standing = await survey(stage, compared)
        _agree(options, standing)
        with open_run(directory, meta) as run:
            targets = {each.name: _target(each, asked) for each in compared}
            goes_on = Manner(anew=asked.anew, goes_on=asked.wanted.driver == "builtin")
            player = Player(run, _driver(asked, compared[0]), targets, view, signals.now, SystemClock(), goes_on)
            campaign = Campaign(stage, compared, points, run, player, targets, view, signals, SystemClock())
            code = await campaign.go(standing)
        view.close()
        return _tell(options, directory, code)
    except PdctlError as error:
        view.close()
        return show_failure(error, options)


def _meta(
    options: Globals, compared: Sequence[Contender], asked: Asked, points: Mapping[str, Sequence[Point]]
) -> RunMeta:
    """Another inventory under the same name is another comparison, so their digests are a part of what is measured."""
    wanted = asked.wanted
    definition = define(
        wanted.driver,
        {each.name: note_target(_target(each, asked), layout_of(each.deployment)) for each in compared},
        [point for each in compared for point in points[each.name]],
        slo=wanted.slo or compared[0].deployment.slo,
        criterion=wanted.criterion,
        counted_from=wanted.counted_from,
        settings={f"inventory {each.name}": each.deployment.digest for each in compared},
    )
    started = utc(SystemClock().time(), "%Y-%m-%dT%H:%M:%SZ")
    return meta_of(definition, run=options.run, started=started, arguments=asked.arguments, directory=str(Path.cwd()))


def _target(contender: Contender, asked: Asked) -> Target:
    return replace(contender.target, vocab=asked.wanted.vocab)


def _driver(asked: Asked, base: Contender) -> Driver:
    wanted, typed = asked.wanted, asked.typed
    if wanted.driver == "builtin":
        warm_up = WARM_UP if wanted.warm_up is None else wanted.warm_up
        return BuiltinDriver(warm_up=warm_up, stall_s=wanted.stall_s or STALL_S)
    program = tuple(shlex.split(typed.driver_program or ""))
    return driver_named(wanted.driver, Means(program=program, tokenizer=typed.tokenizer or base.deployment.model.path))


def _agree(options: Globals, standing: Standing) -> None:
    """Ask before something that serves is taken down. Raises PlanRefused, Interrupted."""
    if not standing.running or options.yes:
        return
    if options.json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise PlanRefused(
            f"{standing.words} on these nodes, and would be taken down", hint="take it down first, or agree with --yes"
        )
    if not click.confirm(f"{standing.words} on these nodes. Measure, and take it down?"):
        raise Interrupted("nothing was changed")


def _tell(options: Globals, directory: Path, code: int) -> int:
    """The tables, and where the rest is."""
    try:
        report = read_report([directory])
    except BenchError as error:
        return max(code, show_failure(error, options))
    page = directory / PAGE
    page.write_text(html_page(report, title=f"Compared: {', '.join(report.deployments)}"))
    if options.json:
        body = {"directory": str(directory), "exit_code": code, "improvements": improvements_document(report)}
        say_json(options, "bench_compared", {**body, **as_document(report)}, cluster="")
        return code
    click.echo()
    for line in improvement_lines(report):
        Console(highlight=False).print(line, soft_wrap=True)
    rated = any(entry.load.rate_per_s is not None and entry.load.concurrency is None for entry in report.entries)
    show(report, [Part.TABLE, *([Part.ATTAINMENT] if rated else [])])
    click.echo(f"{directory}: `pdctl bench report {directory}` shows more, {page} has sliders for the targets")
    if code:
        click.echo(f"not all of it is measured: `pdctl bench compare --resume {directory}` goes on", err=True)
    return code
