"""`pdctl events`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import click

from pdctl.cli.escape import one_line
from pdctl.cli.global_options import Globals
from pdctl.cli.session import read
from pdctl.control.history import record, unfinished
from pdctl.control.opened import Opened


@click.command("events")
@click.option("-n", "--lines", type=click.IntRange(1, 100_000), default=100, show_default=True)
@click.pass_obj
def command(options: Globals, lines: int) -> int:
    """Who changed what, when, and how it ended: the journal that lies on the lease node."""

    async def act(opened: Opened) -> int:
        entries = (await record(opened.cluster, lines)).entries
        for entry in entries:
            click.echo(json.dumps(entry) if options.json else _line(entry))
        if not options.json:
            for entry in unfinished(entries):
                click.echo(f"unfinished: {entry.get('action')} of {entry.get('subject')} in run {entry.get('run')}")
        return 0

    return read(options, act)


def _line(entry: dict[str, Any]) -> str:
    at = datetime.fromtimestamp(float(entry.get("ts", 0)), UTC).strftime("%Y-%m-%d %H:%M:%S")
    words = [at, str(entry.get("operator", "?")), f"[{entry.get('run', '?')}]", str(entry.get("event", "?"))]
    words += [str(entry[key]) for key in ("action", "subject", "command", "cause", "reason", "text") if entry.get(key)]
    return one_line(" ".join(words))
