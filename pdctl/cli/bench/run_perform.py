"""From the typed options to a run: what is measured and where, the way to the server, and the exit code."""

from __future__ import annotations

import asyncio
import shlex
import sys
import time
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from pdctl.bench.driver import Driver
from pdctl.bench.drivers.builtin import STALL_S, WARM_UP, BuiltinDriver
from pdctl.bench.drivers.chosen import DRIVERS, driver_named
from pdctl.bench.drivers.means import Means
from pdctl.bench.point import Point, Target
from pdctl.bench.reach import find_model, prove, reached
from pdctl.bench.runs.definition import Definition, define, note_target
from pdctl.bench.runs.directory import holds_run, open_run, refuse_other
from pdctl.bench.runs.events import BenchStarted, BenchTold
from pdctl.bench.runs.meta import RunMeta, meta_of, read_meta
from pdctl.bench.runs.read import read_run
from pdctl.bench.runs.runner import Listener, Manner, Player
from pdctl.bench.runs.stretch import ToolProgress
from pdctl.bench.silence import silence_of
from pdctl.cli.bench.run_dry import say_dry
from pdctl.cli.bench.run_lines import ended
from pdctl.cli.bench.run_shown import is_finished, show_finished
from pdctl.cli.bench.run_target import Named, named_target
from pdctl.cli.bench.run_typed import Typed, Wanted, read, refuse_empty
from pdctl.cli.bench.run_view import bench_view
from pdctl.cli.failure import show_failure
from pdctl.cli.global_options import Globals
from pdctl.cli.stopping import STOPS, while_read
from pdctl.control.clock import SystemClock, utc
from pdctl.control.execute import Interrupt
from pdctl.errors import Interrupted, PdctlError, UsageError
from pdctl.routers.ports import local_address

_RUNS = Path("bench")
_PROVE_S = 60.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where the run lies, and what is done with what is there."""

    out: Path | None
    resume: Path | None
    anew: bool
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run that is wholly known before anything is sent."""

    named: Named
    wanted: Wanted
    points: tuple[Point, ...]
    definition: Definition
    directory: Path
    typed: Typed
    anew: bool


def run_bench(options: Globals, typed: Typed, place: Place) -> int:
    """Returns the exit code. Raises PdctlError where nothing can be measured."""
    if place.out is not None and place.resume is not None:
        raise UsageError("--out and --resume both say where", hint="`--resume DIR` alone goes on with the run there")
    inventory = options.inventory
    if place.resume is not None:
        if typed == Typed() and not place.anew and not place.dry_run and is_finished(place.resume):
            return show_finished(options, place.resume)
        typed, inventory = _again(typed, place.resume, inventory)
    wanted = read(typed, DRIVERS)
    interrupt = Interrupt()
    try:
        return asyncio.run(_run(options, typed, wanted, place, inventory, interrupt))
    except asyncio.CancelledError:
        raise Interrupted("stopped at once") from None


def _again(typed: Typed, directory: Path, inventory: Path) -> tuple[Typed, Path]:
    """The options that the run was begun with, under those that are typed now; and its inventory. Raises UsageError for
    a directory of another command."""
    from pdctl.cli.bench.run import command

    meta = read_meta(directory)
    if meta.arguments[:1] == ("compare",):
        again = f"pdctl bench compare --resume {shlex.quote(str(directory))}"
        raise UsageError(f"{directory} is a comparison", hint=f"it goes on with: {again}")
    if not meta.arguments:
        raise UsageError(f"{directory} is a part of a sweep", hint="say `pdctl bench sweep` again, with the same --out")
    context = command.make_context("run", list(meta.arguments), obj=Globals())
    names = {item.name for item in fields(Typed)}
    before = Typed(**{name: value for name, value in context.params.items() if name in names})
    now = {name: value for name in names if (value := getattr(typed, name)) not in (None, ())}
    recorded = Path(meta.inventory) if meta.inventory else inventory
    return replace(before, **now), recorded if recorded.exists() else inventory


async def _run(
    options: Globals, typed: Typed, wanted: Wanted, place: Place, inventory: Path, interrupt: Interrupt
) -> int:
    loop = asyncio.get_running_loop()
    for number in STOPS:
        loop.add_signal_handler(number, interrupt.ask)
    named = named_target(typed, wanted, inventory)
    if not named.target.model and not place.dry_run:
        model = await find_model(named.target)
        named = named.with_model(model)
        typed = replace(typed, model=model)
    prepared = _prepare(typed, wanted, named, place)
    if place.dry_run:
        say_dry(options, prepared.definition, prepared.points, prepared.directory)
        return 0
    clock = SystemClock()
    view = bench_view(options, sys.stdout, clock, cluster=named.target.deployment)
    try:
        with view:
            return await _measure(options, prepared, while_read(view, interrupt), interrupt)
    except PdctlError as error:
        return show_failure(error, options, cluster=named.target.deployment)


def _prepare(typed: Typed, wanted: Wanted, named: Named, place: Place) -> Prepared:
    """Raises UsageError where the directory holds a run of something else, before anything is sent."""
    points = wanted.points(named.target.deployment)
    refuse_empty(points)
    slo = wanted.slo or named.slo or wanted.scenario_slo
    settings = {"warm_up": str(WARM_UP if wanted.warm_up is None else wanted.warm_up)}
    definition = define(
        wanted.driver,
        {named.target.deployment: note_target(named.target, named.layout)},
        points,
        slo=slo,
        criterion=wanted.criterion,
        counted_from=wanted.counted_from,
        settings=settings if wanted.driver == "builtin" else {},
    )
    stamp = time.strftime("%Y%m%d-%H%M%S")
    directory = place.resume or place.out or _RUNS / f"{stamp}-{named.target.deployment}"
    if holds_run(directory):
        refuse_other(directory, read_meta(directory).definition, definition)
    return Prepared(named, wanted, points, definition, directory, typed, place.anew)


async def _measure(options: Globals, prepared: Prepared, emit: Listener, interrupt: Interrupt) -> int:
    clock = SystemClock()
    began_s = clock.monotonic()
    async with AsyncExitStack() as stack:
        target = prepared.named.target
        if prepared.anew or not is_finished(prepared.directory):
            target = await _unless(interrupt, _reach(prepared, stack, emit))
        stack.push_async_callback(_dropped, asyncio.create_task(_say_stopping(interrupt, emit)))
        tool = ToolProgress()
        reached_here = target
        driver, target = _driver(prepared, target, tool, stack)
        run = stack.enter_context(open_run(prepared.directory, _meta(options, prepared)))
        done = read_run(run.path)
        emit(_started(prepared, len(done.done)))
        manner = Manner(anew=prepared.anew, goes_on=prepared.wanted.driver == "builtin")
        targets = {target.deployment: target}
        silent = silence_of({target.deployment: reached_here}, clock, interrupt, emit)
        player = Player(run, driver, targets, emit, interrupt, clock, manner, tool=tool, silence=silent)
        tally = await player.play(prepared.points)
        emit(ended(run.path, tally, clock.monotonic() - began_s))
    return tally.exit_code


async def _unless(interrupt: Interrupt, reaching: Coroutine[Any, Any, Target]) -> Target:
    """The target, unless the operator stops it first. Raises Interrupted."""
    task, stopped = asyncio.create_task(reaching), asyncio.create_task(interrupt.asked.wait())
    try:
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Interrupted("stopped before a load was sent")
        return task.result()
    finally:
        await _dropped(task)
        await _dropped(stopped)


async def _say_stopping(interrupt: Interrupt, emit: Listener) -> None:
    await interrupt.asked.wait()
    emit(BenchTold(f"{interrupt.reason}: nothing more is sent, what is in flight ends; once more stops at once"))


async def _dropped(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError, Exception):  # whoever awaited it has its error
        await task


async def _reach(prepared: Prepared, stack: AsyncExitStack, emit: Listener) -> Target:
    """The target as it is reached, after one request was answered whole."""
    target = prepared.named.target
    if prepared.named.deployment is not None:
        found = await stack.enter_async_context(reached(prepared.named.deployment, target))
        target = found.target
        if found.told:
            emit(BenchTold(found.told))
    await prove(target, deadline_s=min(_PROVE_S, prepared.wanted.deadline_s))
    return target


def _driver(prepared: Prepared, target: Target, tool: ToolProgress, stack: AsyncExitStack) -> tuple[Driver, Target]:
    """Who sends, and the target as it is seen from there."""
    wanted, typed, deployment = prepared.wanted, prepared.typed, prepared.named.deployment
    if wanted.driver == "builtin":
        warm_up = WARM_UP if wanted.warm_up is None else wanted.warm_up
        return BuiltinDriver(warm_up=warm_up, stall_s=wanted.stall_s or STALL_S), target
    program = tuple(shlex.split(typed.driver_program or ""))
    tokenizer = typed.tokenizer or ("" if deployment is None else deployment.model.path)
    if typed.driver_on is None:
        means = Means(program=program, tokenizer=tokenizer, on_progress=tool.note).from_here()
        return driver_named(wanted.driver, means), target
    if deployment is None or typed.driver_on not in deployment.nodes:
        raise UsageError(f"--driver-on {typed.driver_on}: no such node", hint="a node of the inventory")
    from pdctl.bench.drivers.on_node import on_node
    from pdctl.ssh.pool import SshShells

    shells = SshShells(deployment.nodes)
    stack.push_async_callback(shells.close)
    means = on_node(Means(shells.shell(typed.driver_on), program, tokenizer, tool.note), deployment, wanted.driver)
    router = deployment.router
    url = f"http://{local_address(router)}" if typed.driver_on == router.node else prepared.named.target.url
    return driver_named(wanted.driver, means), replace(target, url=url)


def _meta(options: Globals, prepared: Prepared) -> RunMeta:
    deployment = prepared.named.deployment
    typed = prepared.typed
    if typed.trace is not None:
        typed = replace(typed, trace=str(Path(typed.trace).resolve()))
    said: Mapping[str, str] = {}
    if deployment is not None:
        said = {"inventory": deployment.source, "inventory_digest": deployment.digest}
    return meta_of(
        prepared.definition,
        run=options.run,
        started=utc(time.time(), "%Y-%m-%dT%H:%M:%SZ"),
        arguments=typed.arguments(),
        directory=str(Path.cwd()),
        cluster="" if deployment is None else deployment.cluster,
        **said,
    )


def _started(prepared: Prepared, done: int) -> BenchStarted:
    requests = sum(len(point.workload.asked) for point in prepared.points)
    return BenchStarted(str(prepared.directory), prepared.wanted.driver, len(prepared.points), requests, done)
