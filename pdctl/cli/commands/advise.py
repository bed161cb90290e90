"""`pdctl advise`."""

from __future__ import annotations

import click

from pdctl.cli.lazy_group import LazyGroup

COMMANDS: dict[str, str] = {}


@click.group("advise", cls=LazyGroup, table=COMMANDS, package="pdctl.cli.advise")
def command() -> None:
    """Which split of this fleet, how large, and whether to disaggregate at all: predicted, with reasons and errors."""
