"""Run one command's coroutine with its view of the events and its signals."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import click

from pdctl.cli.failure import show_failure
from pdctl.cli.global_options import Globals
from pdctl.cli.render import renderer
from pdctl.cli.stopping import STOPS as STOPS
from pdctl.cli.stopping import while_read as while_read
from pdctl.control.clock import SystemClock
from pdctl.control.execute import Interrupt
from pdctl.control.journal import Session
from pdctl.control.opened import Opened, open_cluster, read_deployment
from pdctl.errors import Interrupted, PdctlError, UsageError


def refuse_read_only(options: Globals, command: str) -> None:
    """Raises UsageError if the operator asked for a session that changes nothing."""
    if options.read_only:
        raise UsageError(f"`{command}` changes the cluster", hint="leave out --read-only (or unset PDCTL_READ_ONLY)")


def confirm(options: Globals, command: str, question: str) -> None:
    """Ask before something that interrupts service, unless `--yes`, `--json` or no terminal is there to answer.

    Without a terminal the command was typed into a script on purpose; it goes on. With `--read-only` it is refused
    before anything is asked. A protected cluster's name has to be typed. Raises InventoryError, Interrupted.
    """
    refuse_read_only(options, command)
    if options.yes or options.json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return
    _, deployment = read_deployment(options.inventory)
    if deployment.protected:
        name = click.prompt(
            f"{question} {deployment.cluster} is protected: type its name", default="", show_default=False
        )
        agreed = name.strip() == deployment.cluster
    else:
        agreed = click.confirm(question)
    if not agreed:
        raise Interrupted("nothing was changed")


def change(
    options: Globals, command: str, act: Callable[[Opened, Session], Awaitable[int]], path: Path | None = None
) -> int:
    """Run a use case that changes the cluster, shown by the view that the options ask for. Returns its exit code.

    The first SIGINT, SIGTERM or SIGHUP stops at the next safe point, the second at once. A reader of the output that
    goes away counts as one signal: nobody would see what happens.
    """
    refuse_read_only(options, command)

    async def body() -> int:
        interrupt = Interrupt()
        loop = asyncio.get_running_loop()
        for number in STOPS:
            loop.add_signal_handler(number, interrupt.ask)
        async with open_cluster(path or options.inventory) as opened:
            view = renderer(
                json=options.json,
                stream=sys.stdout,
                terminal=sys.stdout.isatty(),
                verbose=options.verbose,
                clock=SystemClock(),
                run=options.run,
                cluster=opened.deployment.cluster,
            )
            try:
                with view:
                    return await act(opened, Session(while_read(view, interrupt), interrupt, options.run))
            except PdctlError as error:
                return show_failure(error, options, cluster=opened.deployment.cluster)

    try:
        return asyncio.run(body())
    except asyncio.CancelledError:
        again = "`pdctl up`" if command == "move" else f"`pdctl {command}` again"
        raise Interrupted("stopped at once", hint=f"run {again} to go on from what is there") from None


def read(options: Globals, act: Callable[[Opened], Awaitable[int]]) -> int:
    """Run a use case that changes nothing. Returns its exit code."""

    async def body() -> int:
        async with open_cluster(options.inventory) as opened:
            try:
                return await act(opened)
            except PdctlError as error:
                return show_failure(error, options, cluster=opened.deployment.cluster)

    return asyncio.run(body())
