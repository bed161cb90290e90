"""`pdctl advise`."""

from __future__ import annotations

import click

from pdctl.cli.lazy_group import LazyGroup

COMMANDS = {
    "handoff": "can one layout hand its KV to another: what is re-sharded, what is refused",
}


@click.group("advise", cls=LazyGroup, table=COMMANDS, package="pdctl.cli.advise")
def command() -> None:
    """Which split of this fleet, how large, and whether to disaggregate at all: predicted, with reasons and errors."""
