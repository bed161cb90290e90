"""What a comparison shows while it goes. `up`, the measurement and `down` have views of their own, one at a time."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from pdctl.bench.campaign.contender import Contender
from pdctl.bench.campaign.events import DeploymentBegan, DeploymentEnded, TakenOver
from pdctl.bench.campaign.signals import Signals
from pdctl.cli.bench.run_view import bench_view
from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.cli.render import Renderer, renderer
from pdctl.cli.session import while_read
from pdctl.cli.silence import silence_stdout
from pdctl.control.clock import SystemClock
from pdctl.control.journal import Sink
from pdctl.model.events import Event, plain
from pdctl.text.duration import duration
from pdctl.text.escape import one_line

_OWN = (DeploymentBegan, DeploymentEnded, TakenOver)


class CompareView:
    """Takes the events of the comparison and of its measurement; whose `up` or `down` it is, `showing` is told."""

    def __init__(self, options: Globals, signals: Signals) -> None:
        self._options = options
        self._signals = signals
        self._measuring: Renderer | None = None
        self._deployment = ""

    @contextmanager
    def showing(self, contender: Contender) -> Iterator[Sink]:
        """The view of one `up` or `down`."""
        self.close()
        view = renderer(
            json=self._options.json,
            stream=sys.stdout,
            terminal=sys.stdout.isatty(),
            verbose=self._options.verbose,
            clock=SystemClock(),
            run=self._options.run,
            cluster=contender.deployment.cluster,
        )
        with view:
            yield while_read(view, self._signals.now)

    def __call__(self, event: Event) -> None:
        try:
            if isinstance(event, _OWN):
                self._own(event)
            else:
                self._measured()(event)
        except BrokenPipeError:
            silence_stdout()
            self._signals.ask("the reader of the output went away")

    def close(self) -> None:
        """Give the terminal back."""
        if self._measuring is not None:
            self._measuring.__exit__(None, None, None)
            self._measuring = None

    def _measured(self) -> Renderer:
        if self._measuring is None:
            view = bench_view(self._options, sys.stdout, SystemClock(), cluster=self._deployment)
            self._measuring = view.__enter__()
        return self._measuring

    def _own(self, event: Event) -> None:
        self.close()
        if isinstance(event, DeploymentBegan):
            self._deployment = event.deployment
        if self._options.json:
            say_json(self._options, event.event, plain(event), cluster=self._deployment)
        else:
            for line in said(event):
                click.echo(line)
        sys.stdout.flush()


def said(event: Event) -> list[str]:
    """The lines of one event of the comparison itself."""
    match event:
        case DeploymentBegan():
            todo = f"{event.left} of {event.points} points to measure" if event.left else "all points are measured"
            text, hint = f"{event.deployment} ({event.number}/{event.deployments}), {event.layout}: {todo}", ""
        case DeploymentEnded():
            why = f": {event.cause}" if event.cause else ""
            left = f", {event.left} left" if event.left else ""
            up = ", STILL UP" if event.up else ", down"
            took = duration(event.took_s)
            text, hint = f"{event.deployment}: {event.measured} points measured{left}{up}, {took}{why}", event.hint
        case TakenOver():
            text, hint = f"{event.cluster} runs here ({len(event.running)} units) and is taken down", ""
        case _:
            return []
    return [f"== {one_line(text)}", *([f"   hint: {one_line(hint)}"] if hint else [])]
