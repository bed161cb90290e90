"""Running `pdctl demo --auto`: its load by the built-in driver, its events, and its summary."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Sequence

import click

from pdctl.bench.drivers.builtin import BuiltinDriver
from pdctl.bench.point import Point, Target
from pdctl.bench.row import Row
from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.cli.render import renderer
from pdctl.cli.session import STOPS
from pdctl.control.clock import SystemClock
from pdctl.control.demo_auto import AUTO_FLEET, AUTO_PHASES, AutoOutcome, Offered, Phase, run_auto_demo
from pdctl.control.execute import Interrupt
from pdctl.control.journal import Session
from pdctl.model.events import Event, Planned, StepProgress
from pdctl.model.keeper_events import RatioDecided
from pdctl.model.outcome import OutcomeCounts
from pdctl.perf.segments import Segment, segment_load

DEADLINE_S = 300.0


def run_auto_demo_command(options: Globals) -> int:
    """Run it to its end. Returns the exit code."""
    outcome = asyncio.run(_run(options))
    if options.json:
        say_json(options, "summary", outcome.summary(), cluster=AUTO_FLEET.cluster)
    else:
        _tell(outcome)
    return outcome.exit_code


async def _run(options: Globals) -> AutoOutcome:
    interrupt, clock = Interrupt(), SystemClock()
    loop = asyncio.get_running_loop()
    for number in STOPS:
        loop.add_signal_handler(number, interrupt.ask)
    view = renderer(
        json=options.json,
        stream=sys.stdout,
        terminal=sys.stdout.isatty(),
        verbose=options.verbose,
        clock=clock,
        run=options.run,
        cluster=AUTO_FLEET.cluster,
    )
    with view:
        sink = view if options.json or options.verbose else _briefly(view)
        return await run_auto_demo(AUTO_FLEET, AUTO_PHASES, offer, Session(sink, interrupt, options.run))


def _briefly(view: Callable[[Event], None]) -> Callable[[Event], None]:
    """Without progress, and a decision that is the last one over again only once."""
    last: tuple[str, str, str, str] | None = None

    def sink(event: Event) -> None:
        nonlocal last
        if isinstance(event, StepProgress | Planned):
            return
        if isinstance(event, RatioDecided):
            said = (event.action, event.ratio, event.target, event.reason)
            if said == last:
                return
            last = said
        view(event)

    return sink


async def offer(url: str, model: str, phases: Sequence[Phase], stop: Callable[[], bool]) -> Offered:
    """A `control.demo_auto.Offer`: Poisson arrivals, all streamed."""
    segments = [Segment(each.seconds, (each.isl, each.isl), (each.osl, each.osl), each.rate_per_s) for each in phases]
    point = Point("demo", "auto", "segments", 0, segment_load(segments), deadline_s=DEADLINE_S)
    rows: list[Row] = []
    measured = await BuiltinDriver(warm_up=0).run(point, Target(url, model), on_row=rows.append, stop=stop)
    failures = Counter(row.error or row.refusal or row.outcome.value for row in rows if not row.ok)
    return Offered(OutcomeCounts.of(row.outcome for row in rows), measured.took_s, tuple(failures.most_common(3)))


def _tell(outcome: AutoOutcome) -> None:
    facts = outcome.summary()
    click.echo(f"\n{facts['nodes']} simulated nodes, {facts['layout']} at first, {facts['ended_as']} at the end")
    if outcome.offered is not None:
        click.echo(
            f"  {facts['requests']} requests through vllm-router in {facts['load_s']} s: {facts['ok']} ok, "
            f"{facts['failed']} failed"
        )
        for detail, count in outcome.offered.failures:
            click.echo(f"  ! {count} x {detail}")
    moves = f"{facts['moves']} moves" if facts["moves"] != 1 else "1 move"
    click.echo(f"  {facts['decisions']} decisions, {moves}, {facts['moves_failed']} failed, {facts['moves_cut']} cut")
    for reason, took_s in zip(facts["why"], facts["moves_s"], strict=False):
        click.echo(f"  moved in {took_s} s because {reason}")
    if facts["after_s"] is not None:
        click.echo(f"  decided {facts['after_s']} s after the traffic had turned (engines 20 times as fast as life)")
    click.echo(f"  {facts['leftovers']} processes left over")
