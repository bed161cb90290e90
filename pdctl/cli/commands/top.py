"""`pdctl top`, which is also what `pdctl` alone does."""

from __future__ import annotations

import sys
from typing import Any

import click

from pdctl.cli.global_options import Globals
from pdctl.cli.terminal import open_terminal, refuse_without_terminal
from pdctl.cli.terminal_settings import terminal_options, terminal_settings


@click.command("top")
@terminal_options
@click.pass_obj
def command(options: Globals, /, **flags: Any) -> int:
    """The cluster live in the terminal: pulse, nodes, KV pairs, health, logs, activity; move, drain and restart.

    `?` shows the keys. With --read-only, or where the inventory says so, nothing can be changed.
    """
    refuse_without_terminal(sys.stdin.isatty() and sys.stdout.isatty(), "pdctl top")
    return open_terminal(options, terminal_settings(**flags))
