"""`pdctl logs`."""

from __future__ import annotations

import click

from pdctl.cli.chosen import chosen_instances
from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.cli.session import read
from pdctl.control.logs import logs, sources
from pdctl.control.opened import Opened
from pdctl.model.observed import Trouble
from pdctl.plan.steps import REGISTRAR, ROUTER
from pdctl.supervisors.ports import LogLine
from pdctl.text.escape import one_line


@click.command("logs")
@click.argument("names", nargs=-1)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is added, until Ctrl-C.")
@click.option("-n", "--lines", type=click.IntRange(0, 100_000), default=50, show_default=True)
@click.pass_obj
def command(options: Globals, names: tuple[str, ...], follow: bool, lines: int) -> int:
    """The logs of NAMES: selectors, `router` or `registrar`. All instances if left out.

    A log that cannot be read is said on stderr, and by the exit code.
    """

    async def act(opened: Opened) -> int:
        services = [name for name in names if name in (ROUTER, REGISTRAR)]
        selectors = [name for name in names if name not in services]
        chosen = chosen_instances(opened.deployment, selectors) if selectors or not services else frozenset()
        wanted = [found.name for found in opened.deployment.instances if chosen is None or found.name in chosen]
        units = sources(opened.cluster, [*wanted, *services])
        code = 0
        async for name, heard in logs(opened.cluster, units, lines=lines, follow=follow):
            if isinstance(heard, Trouble):
                code = max(code, heard.exit_code)
            _show(options, opened.deployment.cluster, name, heard, alone=len(units) == 1)
        return code

    return read(options, act)


def _show(options: Globals, cluster: str, name: str, heard: LogLine | Trouble, *, alone: bool) -> None:
    if isinstance(heard, Trouble):
        if options.json:
            body = {"unit": name, "cause": heard.cause, "hint": heard.hint}
            say_json(options, "log_unreadable", body, cluster=cluster)
            return
        click.echo(f"{name}: {one_line(heard.cause)}", err=True)
        if heard.hint:
            click.echo(f"  hint: {one_line(heard.hint)}", err=True)
    elif options.json:
        say_json(options, "log", {"unit": name, "at": heard.at, "text": heard.text}, cluster=cluster)
    else:
        click.echo(heard.text if alone else f"{name} | {heard.text}")
