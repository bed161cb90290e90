"""A comparison that is wholly asked for: the nodes are looked at, then it is played, shown, and told in tables."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
from rich.console import Console

from pdctl.bench.campaign.campaign import Campaign, Standing, survey
from pdctl.bench.campaign.contender import Contender, unfair
from pdctl.bench.campaign.signals import Signals
from pdctl.bench.campaign.stage import ClusterStage
from pdctl.bench.driver import Driver
from pdctl.bench.drivers.builtin import STALL_S, WARM_UP, BuiltinDriver
from pdctl.bench.drivers.chosen import driver_named
from pdctl.bench.drivers.means import Means
from pdctl.bench.point import Point, Target
from pdctl.bench.reach import layout_of
from pdctl.bench.reports.export import as_document
from pdctl.bench.reports.improvements import improvement_lines, improvements_document
from pdctl.bench.reports.page import html_page
from pdctl.bench.reports.reading import read_report
from pdctl.bench.reports.terminal import Part
from pdctl.bench.runs.definition import define, note_target
from pdctl.bench.runs.directory import holds_run, open_run, refuse_other
from pdctl.bench.runs.meta import RunMeta, meta_of, read_meta
from pdctl.bench.runs.runner import Manner, Player
from pdctl.bench.silence import silence_of
from pdctl.cli.bench.compare_view import CompareView
from pdctl.cli.bench.report import show
from pdctl.cli.bench.run_dry import say_dry
from pdctl.cli.bench.run_shown import is_finished
from pdctl.cli.bench.run_typed import Typed, Wanted, refuse_empty
from pdctl.cli.failure import show_failure
from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.cli.session import STOPS
from pdctl.control.clock import SystemClock, utc
from pdctl.control.read_only import refuse_read_only as refuse_change
from pdctl.control.up import UpOptions, refuse_unsupported
from pdctl.errors import BenchError, Interrupted, PdctlError, PlanRefused

PAGE = "report.html"


@dataclass(frozen=True, slots=True)
class Asked:
    """The command line: what is offered to every deployment, and how. `arguments` say it again."""

    typed: Typed
    wanted: Wanted
    skip_checks: bool
    anew: bool
    arguments: tuple[str, ...]


def foresee(options: Globals, compared: Sequence[Contender], asked: Asked, directory: Path) -> int:
    """Say what would be done; no node is asked. Returns the exit code."""
    points = _points(compared, asked)
    if not options.json:
        for each in compared:
            click.echo(f"{each.name}: {each.layout}, {layout_of(each.deployment)}")
        for text in unfair(compared):
            click.echo(f"? {text}")
    every = [point for each in compared for point in points[each.name]]
    say_dry(options, _meta(options, compared, asked, points).definition, every, directory)
    return 0


def compare(options: Globals, compared: Sequence[Contender], asked: Asked, directory: Path) -> int:
    """Measure what is not measured yet, and tell. Returns the exit code. Raises PdctlError before anything is done."""
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
    points = _points(compared, asked)
    meta = _meta(options, compared, asked, points)
    if holds_run(directory):
        refuse_other(directory, read_meta(directory).definition, meta.definition)
    for each in compared:
        refuse_change(each.deployment, "bench compare")
        refuse_unsupported(each.deployment)
    for text in unfair(compared):
        click.echo(f"? {text}", err=True)
    stage = ClusterStage(view.showing, options.run, UpOptions(skip_checks=asked.skip_checks))
    try:
        shown = not asked.anew and is_finished(directory)
        standing = Standing({}) if shown else await survey(stage, compared)
        _agree(options, standing, compared)
        for number in STOPS:  # not before: a signal ends the look and the question at once
            asyncio.get_running_loop().add_signal_handler(number, signals.ask)
        with open_run(directory, meta) as run:
            targets = {each.name: _target(each, asked) for each in compared}
            goes_on = Manner(anew=asked.anew, goes_on=asked.wanted.driver == "builtin")
            player = Player(run, _driver(asked, compared[0]), targets, view, signals.now, SystemClock(), goes_on)
            player.silence = silence_of(targets, player.clock, player.stop, view)
            campaign = Campaign(stage, compared, points, run, player, targets, view, signals, SystemClock())
            code = await campaign.go(standing)
        view.close()
        return _tell(options, directory, code)
    except PdctlError as error:
        view.close()
        return show_failure(error, options)


def _points(compared: Sequence[Contender], asked: Asked) -> dict[str, tuple[Point, ...]]:
    """The same requests for every deployment. Raises UsageError where one offers none."""
    points = {each.name: asked.wanted.points(each.name) for each in compared}
    refuse_empty([point for each in points.values() for point in each])
    return points


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
        settings=_settings(compared, wanted),
    )
    started = utc(SystemClock().time(), "%Y-%m-%dT%H:%M:%SZ")
    return meta_of(definition, run=options.run, started=started, arguments=asked.arguments, directory=str(Path.cwd()))


def _settings(compared: Sequence[Contender], wanted: Wanted) -> dict[str, str]:
    warm_up = {"warm_up": str(_warm_up(wanted))} if wanted.driver == "builtin" else {}
    return {**{f"inventory {each.name}": each.deployment.digest for each in compared}, **warm_up}


def _warm_up(wanted: Wanted) -> int:
    return WARM_UP if wanted.warm_up is None else wanted.warm_up


def _target(contender: Contender, asked: Asked) -> Target:
    return replace(contender.target, vocab=asked.wanted.vocab)


def _driver(asked: Asked, base: Contender) -> Driver:
    wanted, typed = asked.wanted, asked.typed
    if wanted.driver == "builtin":
        return BuiltinDriver(warm_up=_warm_up(wanted), stall_s=wanted.stall_s or STALL_S)
    program = tuple(shlex.split(typed.driver_program or ""))
    return driver_named(wanted.driver, Means(program=program, tokenizer=typed.tokenizer or base.deployment.model.path))


def _agree(options: Globals, standing: Standing, compared: Sequence[Contender]) -> None:
    """Ask before something that serves is taken down. Raises PlanRefused, Interrupted."""
    if not standing.running or options.yes:
        return
    if options.json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise PlanRefused(
            f"{standing.words} on these nodes, and would be taken down", hint="take it down first, or agree with --yes"
        )
    agreed = click.confirm(f"{standing.words} on these nodes. Measure, and take it down?")
    for each in compared:
        if agreed and each.name in standing.running and each.deployment.protected:
            name = click.prompt(f"{each.name} is protected: type its cluster's name", default="", show_default=False)
            agreed = name.strip() == each.deployment.cluster
    if not agreed:
        raise Interrupted("nothing was changed")


def _tell(options: Globals, directory: Path, code: int) -> int:
    """The tables, and where the rest is."""
    try:
        report = read_report([directory])
    except BenchError as error:
        again = f"`pdctl bench compare --resume {directory}` goes on"
        return code or show_failure(BenchError(error.message, hint=again), options)
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
