"""`pdctl events`."""

from __future__ import annotations

import json
from typing import Any

import click

from pdctl.cli.global_options import Globals
from pdctl.cli.session import read
from pdctl.control.clock import utc
from pdctl.control.history import record, unfinished
from pdctl.control.opened import Opened
from pdctl.text.escape import one_line


@click.command("events")
@click.option("-n", "--lines", type=click.IntRange(1, 100_000), default=100, show_default=True)
@click.pass_obj
def command(options: Globals, lines: int) -> int:
    """Who changed what, when, and how it ended: the journal that lies on the lease node."""

    async def act(opened: Opened) -> int:
        found = await record(opened.cluster, lines)
        entries = found.entries
        for entry in entries:
            click.echo(json.dumps(entry) if options.json else line(entry))
        if not options.json:
            for entry in unfinished(entries):
                click.echo(f"unfinished: {entry.get('action')} of {entry.get('subject')} in run {entry.get('run')}")
        if found.damaged:
            click.echo(f"? {found.damaged} damaged lines of the journal: what they told is not known", err=True)
        return 0

    return read(options, act)


def line(entry: dict[str, Any]) -> str:
    """An entry in words; what is damaged or missing of it is `?`, or an unknown time."""
    words = [
        utc(entry.get("ts"), "%Y-%m-%d %H:%M:%S"),
        str(entry.get("operator", "?")),
        f"[{entry.get('run', '?')}]",
        str(entry.get("event", "?")),
    ]
    words += [str(entry[key]) for key in ("action", "subject", "command", "cause", "reason", "text") if entry.get(key)]
    return one_line(" ".join(words))
