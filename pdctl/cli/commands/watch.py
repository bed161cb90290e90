"""`pdctl watch`."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import click

from pdctl.cli.duration_type import DURATION
from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.cli.session import STOPS, read, refuse_read_only
from pdctl.control.alert_delivery import AlertDelivery
from pdctl.control.opened import Opened
from pdctl.control.watch import alerted, watching
from pdctl.errors import UsageError
from pdctl.model.snapshot import WINDOWS_S, Snapshot
from pdctl.telemetry.alerts import Change
from pdctl.telemetry.codec import to_plain
from pdctl.telemetry.recording import Recorder
from pdctl.text.escape import one_line

SETTLE_S: Final = 3.0
"""What was raised just before the end is still delivered, if that takes no longer."""


@click.command("watch")
@click.option(
    "--interval",
    "interval_s",
    type=click.FloatRange(0.2, 60.0),
    default=1.0,
    show_default=True,
    help="Seconds between two looks at every engine.",
)
@click.option(
    "--window",
    "window_s",
    type=click.Choice([str(window) for window in WINDOWS_S]),
    default=str(WINDOWS_S[0]),
    show_default=True,
    help="Seconds that pool figures are taken over.",
)
@click.option(
    "--record",
    "record_to",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="Keep every snapshot in this file too, for `pdctl replay`; goes on where the file ends.",
)
@click.option(
    "--canary",
    "canaries",
    is_flag=True,
    help="Try the prefill x decode pairs in turn, at most 1 % of the load. SIGUSR1 pauses them, and lets them go on.",
)
@click.option(
    "--fence/--no-fence",
    "fence",
    default=None,
    help="With --canary: take the end that broken pairs have in common out of service. Default: the inventory's word.",
)
@click.option(
    "--on-alert",
    default=None,
    metavar="COMMAND|URL",
    help="Run this, or post to it, for each alert that is raised or clears (JSON on stdin or as body).",
)
@click.option(
    "--apply",
    "applies",
    is_flag=True,
    help="Follow the inventory file and apply what changes in it, as `pdctl up` would; shows events, no figures.",
)
@click.option(
    "--heal",
    "heals",
    is_flag=True,
    help="Relaunch engines that died, once in 30 minutes each; what dies again is quarantined. Shows events too.",
)
@click.option(
    "--auto",
    is_flag=False,
    flag_value="apply",
    type=click.Choice(["suggest", "apply"]),
    help="Follow the traffic with the ratio of the pools: `--auto=suggest` says what it would move, `--auto` moves.",
)
@click.option(
    "--restart",
    default=None,
    show_default="5m; of simulated engines their load time and 5s",
    help="With --auto: from an engine's stop to its first request, until moves have shown how long that takes.",
)
@click.option(
    "--at-once",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="With --apply: how many instances of a pool may be out of service together.",
)
@click.option("--quiet", is_flag=True, help="Show nothing: for --record without a terminal.")
@click.option("--ticks", type=click.IntRange(1), default=None, help="Stop after so many snapshots.")
@click.pass_obj
def command(
    options: Globals,
    interval_s: float,
    window_s: str,
    record_to: Path | None,
    canaries: bool,
    fence: bool | None,
    on_alert: str | None,
    applies: bool,
    heals: bool,
    auto: str | None,
    restart: str | None,
    at_once: int,
    quiet: bool,
    ticks: int | None,
) -> int:
    """Live figures of pools and instances: latency, load, KV transfer, alerts. Ctrl-C ends it.

    A live table in a terminal, else a table per tick; with --json a snapshot a line. Changes nothing, but with --fence,
    --apply, --heal and --auto: they keep the cluster what its inventory says, and the inventory what traffic wants.
    """
    if fence:
        if not canaries:
            raise UsageError("--fence acts on what canaries find", hint="add --canary")
        refuse_read_only(options, "watch --fence")
    if applies or heals or auto:
        from pdctl.cli.keeping import Kept, keep  # all that changes clusters, which a watch does without

        restart_s = None if restart is None else DURATION.convert(restart, None, None)
        kept = Kept(applies=applies, heals=heals, auto=auto, restart_s=restart_s, at_once=at_once)
        return keep(options, kept, on_alert=on_alert)

    async def act(opened: Opened) -> int:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in STOPS:
            loop.add_signal_handler(number, stop.set)
        fences = opened.deployment.telemetry.canary.fence if fence is None else fence
        async with contextlib.AsyncExitStack() as stack:
            recorder = None
            if record_to is not None:
                recorder = Recorder(record_to, opened.deployment.cluster)
                stack.callback(recorder.close)
            delivery = await _delivering(stack, on_alert, opened.deployment.cluster)
            watch = await stack.enter_async_context(
                watching(
                    opened.cluster,
                    interval_s=interval_s,
                    canaries=canaries,
                    fence=fences and not options.read_only,
                )
            )
            if watch.canaries is not None:
                loop.add_signal_handler(signal.SIGUSR1, watch.canaries.toggle)
            told = alerted(watch.snapshots(), changed=delivery)
            await show_snapshots(options, _recorded(_until(told, stop, ticks), recorder), int(window_s), quiet=quiet)
        return 0

    return read(options, act)


async def _delivering(
    stack: contextlib.AsyncExitStack, target: str | None, cluster: str
) -> Callable[[Change], None] | None:
    if target is None:
        return None
    delivery = AlertDelivery(target, cluster, lambda why: click.echo(f"? {one_line(why)}", err=True))
    task = asyncio.create_task(delivery.run())
    stack.callback(task.cancel)
    stack.push_async_callback(delivery.settle, SETTLE_S)
    return delivery.take


async def _recorded(snapshots: AsyncIterator[Snapshot], recorder: Recorder | None) -> AsyncIterator[Snapshot]:
    async for snapshot in snapshots:
        if recorder is not None:
            await asyncio.to_thread(recorder.add, snapshot)
        yield snapshot


async def show_snapshots(
    options: Globals, snapshots: AsyncIterator[Snapshot], window_s: int, *, quiet: bool = False
) -> None:
    """As a live table in a terminal, a table each elsewhere, a line of JSON each with `--json`."""
    if quiet:
        async for _ in snapshots:
            pass
        return
    if options.json:
        async for snapshot in snapshots:
            say_json(options, "snapshot", to_plain(snapshot), cluster=snapshot.cluster)
            sys.stdout.flush()
        return
    from rich.console import Console
    from rich.live import Live

    from pdctl.cli.watch_view import WIDE, view

    terminal = sys.stdout.isatty()
    console = Console(width=None if terminal else WIDE)
    with Live(console=console, auto_refresh=False, screen=False) if terminal else contextlib.nullcontext() as live:
        async for snapshot in snapshots:
            if live is None:
                console.print(view(snapshot, window_s))
            else:
                live.update(view(snapshot, window_s, console.width), refresh=True)


async def _until(snapshots: AsyncIterator[Snapshot], stop: asyncio.Event, ticks: int | None) -> AsyncIterator[Snapshot]:
    """Until a signal, or so many. The first two ticks have no rates yet; they are shown, as unknown."""
    stopped = asyncio.create_task(stop.wait())
    count = 0
    try:
        while ticks is None or count < ticks:
            following = asyncio.ensure_future(anext(snapshots))
            await asyncio.wait((following, stopped), return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                following.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await following
                return
            yield following.result()
            count += 1
    finally:
        stopped.cancel()
