"""`pdctl logs`."""

from __future__ import annotations

import json

import click

from pdctl.cli.chosen import chosen_instances
from pdctl.cli.global_options import Globals
from pdctl.cli.session import read
from pdctl.control.logs import logs, sources
from pdctl.control.opened import Opened
from pdctl.plan.steps import REGISTRAR, ROUTER


@click.command("logs")
@click.argument("names", nargs=-1)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is added, until Ctrl-C.")
@click.option("-n", "--lines", type=click.IntRange(0, 100_000), default=50, show_default=True)
@click.pass_obj
def command(options: Globals, names: tuple[str, ...], follow: bool, lines: int) -> int:
    """The logs of NAMES: selectors, `router` or `registrar`. All instances if left out."""

    async def act(opened: Opened) -> int:
        services = [name for name in names if name in (ROUTER, REGISTRAR)]
        selectors = [name for name in names if name not in services]
        chosen = chosen_instances(opened.deployment, selectors) if selectors or not services else frozenset()
        wanted = [found.name for found in opened.deployment.instances if chosen is None or found.name in chosen]
        units = sources(opened.cluster, [*wanted, *services])
        async for name, line in logs(opened.cluster, units, lines=lines, follow=follow):
            if options.json:
                click.echo(json.dumps({"schema": 1, "event": "log", "unit": name, "at": line.at, "text": line.text}))
            else:
                click.echo(line.text if len(units) == 1 else f"{name} | {line.text}")
        return 0

    return read(options, act)
