"""`pdctl demo` in a terminal: the screen first, then the nodes, `up`, and a load until the operator leaves."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

import click

from pdctl.bench.apart import run_load_apart
from pdctl.cli.global_options import Globals, new_run_id
from pdctl.cli.terminal import read_only_here
from pdctl.control.demo import DemoLoad, demo_cluster, serve_load
from pdctl.control.demo_nodes import FleetOptions
from pdctl.control.execute import Interrupt
from pdctl.control.journal import Session
from pdctl.control.opened import Opened
from pdctl.control.up import UpOptions, up
from pdctl.errors import PdctlError
from pdctl.model.events import Event, Planned, StepDone, StepProgress, StepStarted
from pdctl.model.outcome import RequestResult
from pdctl.text.phrases import phrase
from pdctl.tui.settings import Settings

FOREVER = 1_000_000_000


@dataclass(slots=True)
class Tally:
    """Requests of the demo's load that ended, and those of them that failed."""

    ended: int = 0
    failed: int = 0

    def count(self, result: RequestResult) -> None:
        self.ended += 1
        self.failed += result.outcome.failed


def run_demo_terminal(options: Globals, fleet: FleetOptions, settings: Settings, *, concurrency: int) -> int:
    """Until the operator leaves; then all of it is taken down. Returns the exit code."""
    tally = Tally()
    code = asyncio.run(_run(options, fleet, settings, DemoLoad(FOREVER, concurrency), tally))
    click.echo(f"the demo served {tally.ended} requests, {tally.failed} failed; everything is taken down")
    return code


async def _run(options: Globals, fleet: FleetOptions, settings: Settings, load: DemoLoad, tally: Tally) -> int:
    from pdctl.tui.app import PdctlApp
    from pdctl.tui.awaited import Awaited, AwaitedFeed, AwaitedOperations
    from pdctl.tui.live import LiveFeed, LiveOperations
    from pdctl.tui.recorded import nothing_known

    awaited, interrupt = Awaited(), Interrupt()
    app = PdctlApp(
        AwaitedFeed(awaited, settings.interval_s), AwaitedOperations(awaited, nothing_known(fleet.cluster)), settings
    )
    steps: list[int] = [0, 0]

    def show(event: Event) -> None:
        steps[0] += isinstance(event, StepDone)
        steps[1] += isinstance(event, Planned)
        story = () if isinstance(event, Planned | StepStarted | StepProgress) else phrase(event)
        app.announce(f"up: {steps[0]} of {steps[1]} steps", story)

    def up_ended(code: int, opened: Opened) -> None:
        """What was not there yet is no alert: the figures begin with the whole."""
        app.announce("" if code == 0 else f"up ended with {code}: see Activity")
        feed = LiveFeed(opened.cluster, interval_s=settings.interval_s)
        read_only = read_only_here(options, opened.deployment)
        operations = LiveOperations(opened, read_only=read_only, changed=feed.look_again, new_run=new_run_id)
        awaited.come(feed, operations)

    async def serve() -> None:
        """The nodes, the cluster on them, the load; what fails is said on the screen."""
        try:
            app.announce("starting", (f"starting the simulated nodes of {fleet.layout}",))
            async with demo_cluster(fleet) as opened:
                session = Session(show, interrupt, options.run)
                code = await up(opened, UpOptions(), session)
                up_ended(code, opened)
                if code == 0:
                    await serve_load(opened, load, run_load_apart, session, tally.count)
                await interrupt.asked.wait()
        except PdctlError as error:
            awaited.fail(error)
            app.announce("failed", (error.message, error.hint))
        except Exception as error:  # a defect: the screen must not go on waiting
            awaited.fail(PdctlError(f"internal error: {error!r}"))
            app.announce("failed", (f"internal error: {error!r}",))
            raise

    serving = asyncio.create_task(serve(), name="the demo's cluster")
    try:
        await app.run_async()
        return app.return_code or 0
    finally:
        interrupt.ask("the operator left")
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):  # what failed is raised, after the screen is gone
            await serving
