"""`pdctl events`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Any

import click

from pdctl.cli.duration_type import DURATION
from pdctl.cli.global_options import Globals
from pdctl.cli.session import STOPS, read
from pdctl.control.clock import utc
from pdctl.control.history import followed, record, unfinished
from pdctl.control.opened import Opened
from pdctl.text.escape import one_line

Entry = dict[str, Any]


@click.command("events")
@click.option("-n", "--lines", type=click.IntRange(1, 100_000), default=100, show_default=True)
@click.option("--since", "since_s", type=DURATION, default=None, help="Only what is no older than this: 30m, 2h.")
@click.option("--run", "run", default=None, metavar="RUN", help="Only what this run did; its name's beginning will do.")
@click.option("-f", "--follow", is_flag=True, help="Show what is added, until Ctrl-C.")
@click.pass_obj
def command(options: Globals, lines: int, since_s: float | None, run: str | None, follow: bool) -> int:
    """Who changed what, when, and how it ended: the journal that lies on the lease node.

    `--since` and `--run` pick from the last `--lines` of it, or, if that was not given, from all that is kept.
    """
    source = click.get_current_context().get_parameter_source("lines")
    typed = source is not None and source.name != "DEFAULT"
    many = lines if typed or (since_s is None and run is None) else 100_000

    async def act(opened: Opened) -> int:
        oldest_s = None if since_s is None else opened.cluster.clock.time() - since_s
        chosen = chooser(oldest_s, run)
        found = await record(opened.cluster, many)
        entries = [entry for entry in found.entries if chosen(entry)]
        _show(entries, options)
        if not options.json:
            for entry in unfinished(entries):
                click.echo(f"unfinished: {entry.get('action')} of {entry.get('subject')} in run {entry.get('run')}")
        if found.damaged:
            click.echo(f"? {found.damaged} damaged lines of the journal: what they told is not known", err=True)
        if follow:
            await _follow(opened, found.entries[-1] if found.entries else None, chosen, options)
        return 0

    return read(options, act)


async def _follow(opened: Opened, last: Entry | None, chosen: Callable[[Entry], bool], options: Globals) -> None:
    stop = asyncio.Event()
    for number in STOPS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async for entries in followed(opened.cluster, last, stop):
        _show((entry for entry in entries if chosen(entry)), options)


def _show(entries: Iterable[Entry], options: Globals) -> None:
    for entry in entries:
        click.echo(json.dumps(entry) if options.json else line(entry))


def chooser(oldest_s: float | None, run: str | None) -> Callable[[Entry], bool]:
    """Whether an entry is asked for: no older than `oldest_s` (Unix time), of the run whose name begins so."""

    def chosen(entry: Entry) -> bool:
        at = entry.get("ts")
        if oldest_s is not None and isinstance(at, int | float) and at < oldest_s:
            return False
        return run is None or str(entry.get("run", "")).startswith(run)

    return chosen


def line(entry: Entry) -> str:
    """An entry in words; what is damaged or missing of it is `?`, or an unknown time."""
    words = [
        utc(entry.get("ts"), "%Y-%m-%d %H:%M:%S"),
        str(entry.get("operator", "?")),
        f"[{entry.get('run', '?')}]",
        str(entry.get("event", "?")),
    ]
    words += [str(entry[key]) for key in ("action", "subject", "command", "cause", "reason", "text") if entry.get(key)]
    return one_line(" ".join([*words, *(_moved(entry) if entry.get("event") == "moved" else ())]))


def _moved(entry: Entry) -> Iterable[str]:
    """A slot's move: from where to where, how it ended, what was in hand, how long it took."""
    yield f"{entry.get('slot', '?')}: {entry.get('from_pool') or 'spare'} -> {entry.get('to_pool') or 'spare'},"
    yield f"{entry.get('outcome', '?')} after {entry.get('took_s', '?')} s,"
    yield f"{entry.get('in_flight_at_fence', '?')} in hand at the fence, {entry.get('cut', '?')} cut"
