"""Play a prepared run with its view of the events, its signals, and somebody to ask."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Sequence

import click

from pdctl.bench.load import run_load
from pdctl.cli.failure import show_failure
from pdctl.cli.global_options import Globals
from pdctl.cli.render import Renderer, renderer
from pdctl.cli.session import STOPS, while_read
from pdctl.control.clock import SystemClock
from pdctl.control.execute import Interrupt
from pdctl.control.journal import Session
from pdctl.control.opened import open_cluster
from pdctl.control.playbook import Playing
from pdctl.control.playbook_foresee import Foresight
from pdctl.control.playbook_record import RunStore
from pdctl.control.playbook_runs import Prepared
from pdctl.control.playbook_verbs import ClusterVerbs
from pdctl.errors import Interrupted, PdctlError
from pdctl.model.playbook_events import PlaybookStarted


class Operator:
    """Whoever sits at the terminal. `--yes` answers what is asked for a yes; without a terminal nobody is there."""

    def __init__(self, options: Globals, view: Renderer) -> None:
        self._options = options
        self._view = view

    async def __call__(self, question: str, answers: tuple[str, ...]) -> str | None:
        if self._options.yes and "yes" in answers:
            return "yes"
        if self._options.yes or self._options.json or not (sys.stdin.isatty() and sys.stdout.isatty()):
            return None
        quiet = getattr(self._view, "quiet", contextlib.nullcontext)
        with quiet():
            return await asyncio.to_thread(_prompt, question, answers)


def _prompt(question: str, answers: Sequence[str]) -> str | None:
    try:
        answer: str = click.prompt(question, type=click.Choice(list(answers)))
    except click.Abort:
        return None
    return answer


def play(options: Globals, store: RunStore, prepared: Prepared) -> int:
    """Play the run to its end, or to where it stops. Returns the exit code."""
    try:
        with store.held(prepared.record.run):
            code = asyncio.run(_play(options, store, prepared))
        store.forget_old()
        return code
    except asyncio.CancelledError:
        run = prepared.record.run
        hint = f"`pdctl run --resume {run}` goes on from what is there, `pdctl run --undo {run}` takes it back"
        raise Interrupted("stopped at once", hint=hint) from None


async def _play(options: Globals, store: RunStore, prepared: Prepared) -> int:
    interrupt, clock = Interrupt(), SystemClock()
    for number in STOPS:
        asyncio.get_running_loop().add_signal_handler(number, interrupt.ask)
    record, cluster = prepared.record, prepared.deployment.cluster
    view = _view(options, record.run, cluster)
    ask = Operator(options, view)
    try:
        with view:
            session = Session(while_read(view, interrupt), interrupt, record.run)
            session.sink(_started(prepared))
            verbs = ClusterVerbs(prepared.inventory.path, run_load, ask)
            return await Playing(prepared.program, record, verbs, store.write, session, clock, ask).go()
    except PdctlError as error:
        return show_failure(error, options, cluster=cluster)


def foresee(options: Globals, prepared: Prepared) -> int:
    """Show what every step would do. Changes nothing. Returns the exit code."""

    async def body() -> None:
        async with open_cluster(prepared.inventory.path) as opened:
            with _view(options, prepared.record.run, prepared.deployment.cluster) as view:
                view(_started(prepared))
                async for event in Foresight(opened).steps(prepared.program):
                    view(event)

    asyncio.run(body())
    return 0


def _view(options: Globals, run: str, cluster: str) -> Renderer:
    return renderer(
        json=options.json,
        stream=sys.stdout,
        terminal=sys.stdout.isatty(),
        verbose=options.verbose,
        clock=SystemClock(),
        run=run,
        cluster=cluster,
    )


def _started(prepared: Prepared) -> PlaybookStarted:
    spec, record = prepared.playbook.spec, prepared.record
    return PlaybookStarted(
        spec.name, spec.about, record.playbook, record.inventory, prepared.steps, prepared.resumed, prepared.back
    )
