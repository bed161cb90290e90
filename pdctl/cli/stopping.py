"""What asks a command to stop: the operator's signals, and a reader of its output that goes away."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from pdctl.cli.render import Renderer
from pdctl.cli.silence import silence_stdout
from pdctl.control.execute import Interrupt
from pdctl.model.events import Event

if TYPE_CHECKING:
    from pdctl.control.journal import Sink

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def while_read(view: Renderer, interrupt: Interrupt) -> Sink:
    """Shows events in `view` as long as somebody reads its output; then it is as if a signal had come."""

    def show(event: Event) -> None:
        try:
            view(event)
        except BrokenPipeError:
            silence_stdout()
            interrupt.ask("the reader of the output went away")

    return show
