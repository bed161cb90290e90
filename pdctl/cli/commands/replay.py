"""`pdctl replay`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click

from pdctl.cli.commands.watch import show_snapshots
from pdctl.cli.global_options import Globals
from pdctl.cli.terminal import open_recording_terminal
from pdctl.cli.terminal_settings import terminal_options, terminal_settings
from pdctl.errors import UsageError
from pdctl.model.snapshot import WINDOWS_S, Snapshot
from pdctl.telemetry.recording import Recording

LONGEST_GAP_S: Final = 10.0
"""Older parts keep every tenth second; what is longer is a time when nobody recorded, and nobody sits through it."""


@click.command("replay")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--at", "at", default=None, help="Begin there: 2026-11-22T03:14:00, 03:14 of its last day, or -10m.")
@click.option("--speed", type=click.FloatRange(0.0), default=1.0, show_default=True, help="0: as fast as it goes.")
@click.option(
    "--window",
    "window_s",
    type=click.Choice([str(window) for window in WINDOWS_S]),
    default=str(WINDOWS_S[0]),
    show_default=True,
    help="Seconds that pool figures are taken over.",
)
@click.option("--ticks", type=click.IntRange(1), default=None, help="Stop after so many snapshots (--plain).")
@click.option("--plain", is_flag=True, help="A table instead of the terminal's screens.")
@terminal_options
@click.pass_obj
def command(
    options: Globals,
    /,
    file: Path,
    at: str | None,
    speed: float,
    window_s: str,
    ticks: int | None,
    plain: bool,
    **flags: Any,
) -> int:
    """Show a recording as it was; it needs no inventory and touches no node.

    In a terminal it has the screens of `pdctl top`, and time can be moved: space, [ ], { }, `:seek 03:14`. Its Advisor
    ranks splits if an inventory of that cluster is there.
    """
    recording = Recording(file)
    try:
        if not len(recording):
            raise UsageError(f"{file} holds no snapshot yet")
        first = recording.at(_moment(at, recording.times)) if at else 0
        shown = not (plain or options.json or ticks is not None) and sys.stdin.isatty() and sys.stdout.isatty()
        if shown:
            settings = terminal_settings(**flags)
            return open_recording_terminal(file, settings, first=first, speed=speed or 1.0, inventory=options.inventory)
        asyncio.run(show_snapshots(options, _played(recording, first, speed, ticks), int(window_s)))
    except KeyboardInterrupt:
        return 130
    except ValueError as error:
        raise UsageError(f"{file}: {error}", hint="begin elsewhere with --at, or replay it again") from error
    finally:
        recording.close()
    return 0


async def _played(recording: Recording, first: int, speed: float, ticks: int | None) -> AsyncIterator[Snapshot]:
    last = len(recording) if ticks is None else min(len(recording), first + ticks)
    for place in range(first, last):
        yield recording.snapshot(place)
        if speed and place + 1 < last:
            gap_s = recording.times[place + 1] - recording.times[place]
            await asyncio.sleep(min(gap_s, LONGEST_GAP_S) / speed)


def _moment(text: str, times: tuple[float, ...]) -> float:
    """Wall-clock seconds; local time where no zone is named. Raises UsageError."""
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    try:
        if text.startswith("-"):
            return times[-1] - float(text[1:-1]) * units[text[-1]]
        if "T" not in text and "-" not in text:
            clock = datetime.strptime(text, "%H:%M:%S" if text.count(":") == 2 else "%H:%M")
            return (
                datetime.fromtimestamp(times[-1])
                .replace(hour=clock.hour, minute=clock.minute, second=clock.second)
                .timestamp()
            )
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, KeyError):
        raise UsageError(f"{text!r} is no time", hint="2026-11-22T03:14:00, 03:14, or -10m before its end") from None
