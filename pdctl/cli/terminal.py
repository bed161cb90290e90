"""Opening the terminal over a live cluster, or over the demo's."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from importlib import import_module
from pathlib import Path

from pdctl.cli.global_options import Globals, new_run_id
from pdctl.control.read_only import why_read_only
from pdctl.errors import PdctlError, UsageError
from pdctl.model.deployment import Deployment
from pdctl.tui.settings import Settings


def refuse_without_terminal(terminal: bool, command: str) -> None:
    """Raises UsageError where nobody could see or type anything."""
    if not terminal:
        raise UsageError(f"`{command}` needs a terminal", hint="`pdctl watch` and `pdctl status` print to anything")


def read_only_here(options: Globals, deployment: Deployment) -> str:
    """Why nothing may be changed: the flag wins over the inventory."""
    return "--read-only" if options.read_only else why_read_only(deployment)


def open_terminal(options: Globals, settings: Settings) -> int:
    """Show the inventory's cluster until the operator leaves. Returns the exit code. Raises InventoryError."""
    return asyncio.run(_live(options, settings))


async def _live(options: Globals, settings: Settings) -> int:
    """The screen first: what talks to the nodes is loaded beside it. Raises InventoryError before it."""
    from pdctl.inventory.load import load
    from pdctl.inventory.place import place
    from pdctl.tui.app import PdctlApp
    from pdctl.tui.awaited import Awaited, AwaitedFeed, AwaitedOperations

    deployment = place(load(options.inventory))
    awaited, left = Awaited(), asyncio.Event()
    why = read_only_here(options, deployment)
    operations = AwaitedOperations(awaited, deployment, read_only=why)
    app = PdctlApp(AwaitedFeed(awaited, settings.interval_s), operations, settings)
    app.announce("", (f"looking at the {len(deployment.nodes)} nodes of {deployment.cluster}",))

    async def opening() -> None:
        await app.painted.wait()
        await asyncio.to_thread(import_module, "pdctl.tui.live")
        from pdctl.control.opened import open_cluster
        from pdctl.tui.live import LiveFeed, LiveOperations

        try:
            async with open_cluster(options.inventory) as opened:
                feed = LiveFeed(opened.cluster, interval_s=settings.interval_s)
                awaited.come(feed, LiveOperations(opened, read_only=why, changed=feed.look_again, new_run=new_run_id))
                await left.wait()
        except PdctlError as error:
            awaited.fail(error)

    task = asyncio.create_task(opening(), name="the live cluster")
    try:
        await app.run_async()
        return app.return_code or 0
    finally:
        left.set()
        if not awaited.here.is_set():
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):  # what failed is raised, after the screen is gone
            await task


def open_recording_terminal(
    file: Path, settings: Settings, *, first: int, speed: float, inventory: Path | None = None
) -> int:
    """Show the recording in `file` from its snapshot `first` on, until the operator leaves. Returns the exit code.
    `inventory`: one of its cluster, if there is any, for advice."""
    from pdctl.tui.app import PdctlApp
    from pdctl.tui.past import before
    from pdctl.tui.recorded import open_recording

    feed, operations, recording = open_recording(file, first=first, speed=speed, inventory=inventory)
    try:
        app = PdctlApp(feed, operations, settings)
        app.past = partial(before, recording)
        app.run()
        return app.return_code or 0
    finally:
        recording.close()
