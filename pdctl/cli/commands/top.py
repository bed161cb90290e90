"""`pdctl top`, which is also what `pdctl` alone does."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from pdctl.cli.global_options import Globals
from pdctl.cli.terminal import open_terminal, refuse_without_terminal
from pdctl.cli.terminal_settings import terminal_options, terminal_settings
from pdctl.errors import UsageError

TABLES = ("nodes", "slots", "instances", "pools", "pairs", "alerts")
"""As `tui.csv_tables`, which is loaded only where one is asked for."""


@click.command("top")
@terminal_options
@click.option(
    "--snapshot",
    "picture",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="Write one screen (--view) to this .svg or .txt file instead; needs no terminal.",
)
@click.option(
    "--csv", "table", type=click.Choice(TABLES), default=None, help="Print this table as CSV instead, in raw units."
)
@click.option(
    "-o", "output", type=click.Path(dir_okay=False, path_type=Path), default=None, help="With --csv: to this file."
)
@click.option("--size", default="160x48", show_default=True, help="With --snapshot: columns x rows.")
@click.option(
    "--after",
    "after_s",
    type=click.FloatRange(0.0, 3600.0),
    default=None,
    help="With --snapshot and --csv: so many seconds after the first look. [default: 12; 0 of a recording]",
)
@click.option(
    "--replay",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help="With --snapshot and --csv: the end of this recording instead of the live cluster.",
)
@click.pass_obj
def command(
    options: Globals,
    /,
    *,
    picture: Path | None,
    table: str | None,
    output: Path | None,
    size: str,
    after_s: float | None,
    replay: Path | None,
    **flags: Any,
) -> int:
    """The cluster live in the terminal: pulse, nodes, KV pairs, health, logs, activity; move, drain and restart.

    `?` shows the keys. With --read-only, or where the inventory says so, nothing can be changed.
    """
    if picture is not None or table is not None:
        from pdctl.cli.top_export import Wanted, export, parse_size

        wanted = Wanted(picture, table, output, parse_size(size), after_s, replay)
        return export(options, terminal_settings(**flags), wanted)
    if replay is not None:
        raise UsageError("--replay goes with --snapshot or --csv", hint="`pdctl replay FILE` plays a recording")
    served = "TEXTUAL_DRIVER" in os.environ  # `pdctl serve` shows it in a browser
    refuse_without_terminal(served or (sys.stdin.isatty() and sys.stdout.isatty()), "pdctl top")
    return open_terminal(options, terminal_settings(**flags))
