"""A sweep with its effects: which nodes are free, the operator's signals, the view."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from pdctl.bench.drivers.builtin import BuiltinDriver
from pdctl.bench.runs.events import Progress
from pdctl.bench.sweeps.configuration import Configuration, Offer
from pdctl.bench.sweeps.events import BatchBegan, BatchEnded, ConfigurationEnded, SweepBegan, SweepEnded
from pdctl.bench.sweeps.stage import ClusterSweepStage
from pdctl.bench.sweeps.sweep import Stops, Sweep, Way
from pdctl.cli.bench.run_lines import lines
from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.cli.session import STOPS, refuse_read_only
from pdctl.cli.silence import silence_stdout
from pdctl.control.clock import SystemClock
from pdctl.control.journal import Sink
from pdctl.errors import Interrupted, PlanRefused
from pdctl.inventory.load import Inventory
from pdctl.model.events import Event, StepFailed, Warned, plain
from pdctl.text.duration import duration
from pdctl.text.escape import one_line

PROGRESS_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class Asked:
    """The command line, read. `only`: nodes that were named."""

    base: Inventory
    offer: Offer
    wanted: tuple[Configuration, ...]
    directory: Path
    only: tuple[str, ...]
    budget: int | None
    skip_checks: bool


def perform(options: Globals, asked: Asked) -> int:
    """Returns the exit code. Raises PdctlError where nothing can be measured."""
    refuse_read_only(options, "bench sweep")
    try:
        return asyncio.run(_perform(options, asked))
    except asyncio.CancelledError:
        raise Interrupted("stopped at once", hint="run the same command again: it goes on from what is there") from None


async def _perform(options: Globals, asked: Asked) -> int:
    stops = Stops()
    for number in STOPS:
        asyncio.get_running_loop().add_signal_handler(number, stops.ask)
    view = SweepView(options, asked.base.spec.cluster, stops)
    stage = ClusterSweepStage(view.of, options.run, asked.skip_checks)
    way = Way(stage, BuiltinDriver, view, stops, SystemClock(), options.run)
    everything = {name: node.gpus for name, node in asked.base.spec.nodes.items()}
    sweep = Sweep(asked.base, asked.offer, everything, asked.budget, asked.directory, way)
    sweep.refuse_another(asked.wanted)
    earlier = tuple(each for each in asked.wanted if sweep.is_measured(each))
    found = await stage.occupied(asked.base.path)
    sweep.leftover = found.leftover
    busy = found.busy
    sweep.nodes = free_nodes(everything, busy, asked) if len(earlier) < len(asked.wanted) else {}
    names = tuple(each.name for each in asked.wanted)
    left_alone = tuple(f"{node}: {why}" for node, why in busy.items() if not asked.only)
    measured = tuple(each.name for each in earlier)
    view(SweepBegan(asked.wanted[0].phase, names, measured, tuple(sweep.nodes), left_alone, str(asked.directory)))
    return await sweep.go(asked.wanted)


def free_nodes(everything: Mapping[str, int], busy: Mapping[str, str], asked: Asked) -> dict[str, int]:
    """The nodes that may be used. Raises PlanRefused where one that was named is busy, or none is free or large
    enough."""
    for name in asked.only:
        if name in busy:
            raise PlanRefused(f"{name} is not free: {busy[name]}", hint="a sweep needs nodes on which no engine runs")
    free = {name: gpus for name, gpus in everything.items() if name not in busy and name in (asked.only or everything)}
    if not free:
        why = "; ".join(f"{name}: {cause}" for name, cause in busy.items())
        raise PlanRefused(f"no node is free: {why}", hint="drain and stop some first, or sweep on spares")
    room = min(max(free.values()), asked.budget or max(free.values()))
    wide = [each.name for each in asked.wanted if each.width.gpus > room]
    if wide:
        hint = "leave these widths out, or raise --gpu-budget"
        raise PlanRefused(f"{', '.join(wide)}: no free node within the budget has that many GPUs ({room})", hint=hint)
    return free


class SweepView:
    """A view of the sweep's, the points' and (`of` each cluster) the batches' events."""

    def __init__(self, options: Globals, cluster: str, stops: Stops) -> None:
        self._options = options
        self._cluster = cluster
        self._stops = stops
        self._said_s: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        self._show(event, self._cluster)

    def of(self, cluster: str) -> Sink:
        """The view of one batch's `up` and `down`."""
        return lambda event: self._show(event, cluster)

    def _show(self, event: Event, cluster: str) -> None:
        if isinstance(event, Progress) and not self._options.json and not self._is_due(event):
            return
        try:
            if self._options.json:
                say_json(self._options, event.event, plain(event), cluster=cluster)
            else:
                prefix = "" if cluster == self._cluster else f"{cluster}: "
                for line in said(event, verbose=self._options.verbose):
                    click.echo(f"{prefix}{line}")
            sys.stdout.flush()
        except BrokenPipeError:
            silence_stdout()
            self._stops.ask()

    def _is_due(self, event: Progress) -> bool:
        """Points run side by side: each tells its progress now and then."""
        now_s = time.monotonic()
        if now_s - self._said_s.setdefault(event.point, now_s) < PROGRESS_EVERY_S:
            return False
        self._said_s[event.point] = now_s
        return True


def said(event: Event, *, verbose: bool = False) -> list[str]:
    """The lines of one event."""
    match event:
        case SweepBegan():
            where = f" on {', '.join(event.nodes)}" if event.nodes else ""
            found = [f"{len(event.configurations)} widths of {event.phase}{where}"]
            found += [f"measured earlier: {', '.join(event.earlier)}"] if event.earlier else []
            return [*found, *(f"left alone: {one_line(each)}" for each in event.busy)]
        case BatchBegan():
            return [f"{event.node}: {', '.join(event.configurations)} ({event.gpus} GPUs) as {event.cluster}"]
        case ConfigurationEnded():
            why = f": {one_line(event.cause)}" if event.cause else ""
            hint = [f"  hint: {one_line(event.hint)}"] if event.hint else []
            best = f", at best {event.best_tok_s:.0f} tok/s" if event.measured else ""
            return [f"{event.configuration}: {event.measured} of {event.points} points{best}{why}", *hint]
        case BatchEnded():
            state = f"MAY STILL RUN: {one_line(event.hint)}" if event.up else "down"
            return [f"{event.node}: {event.cluster} is {state} ({duration(event.took_s)})"]
        case SweepEnded():
            rest = f", {event.failed} failed" * bool(event.failed) + f", {event.left} left" * bool(event.left)
            again = "; the same command goes on" if event.failed or event.left else ""
            profile = [f"`pdctl bench match --profile {event.profile}` matches the phases"] if event.profile else []
            return [f"{event.measured} widths measured{rest}{again}", *profile]
        case StepFailed():
            return [one_line(f"{event.action} of {event.subject}: {event.cause}")]
        case Warned():
            return [one_line(event.text)] if verbose else []
    return list(lines(event)) if type(event).__module__.startswith("pdctl.bench") else []
