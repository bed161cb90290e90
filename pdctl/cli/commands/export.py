"""`pdctl export`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.cli.session import read
from pdctl.control.export import Exported, export_prometheus, export_targets, follow_targets
from pdctl.control.opened import Opened
from pdctl.errors import UsageError
from pdctl.text.escape import one_line


@click.command("export")
@click.argument("kind", type=click.Choice(["prometheus"]))
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--interval", "interval_s", type=click.FloatRange(0.5, 60.0), default=1.0, show_default=True)
@click.option("--targets-only", is_flag=True, help="Write only the engines' addresses again, after a change.")
@click.option("-f", "--follow", is_flag=True, help="Go on, and write them again whenever they change, until Ctrl-C.")
@click.pass_obj
def command(options: Globals, kind: str, directory: Path, interval_s: float, targets_only: bool, follow: bool) -> int:
    """Write a scrape job, the engines' addresses, recording rules, alert rules and a Grafana dashboard.

    Prometheus must reach the engines' data addresses. Then `telemetry: {source: prometheus, url: ...}` in the inventory
    lets `pdctl watch` read from it.
    """

    async def act(opened: Opened) -> int:
        try:
            if not targets_only:
                _say(options, opened, await export_prometheus(opened.cluster, directory, interval_s=interval_s))
            elif not follow:
                _say(options, opened, await export_targets(opened.cluster, directory))
            if follow:
                async for exported in follow_targets(opened.cluster, directory):
                    _say(options, opened, exported)
        except OSError as error:
            raise UsageError(
                f"{directory} cannot be written: {error.strerror or error}", hint="name a directory of yours"
            ) from error
        return 0

    return read(options, act)


def _say(options: Globals, opened: Opened, exported: Exported) -> None:
    files = [str(path) for path in exported.paths]
    if options.json:
        unasked = {name: trouble.cause for name, trouble in exported.unasked.items()}
        found = {"kind": "prometheus", "files": files, "unasked": unasked}
        say_json(options, "exported", found, cluster=opened.deployment.cluster)
    for path in () if options.json else files:
        click.echo(path)
    what = "its engines are not listed" if files else "the old list stays until it answers"
    for node, trouble in exported.unasked.items():
        click.echo(f"? {node}: {one_line(trouble.cause)}: {what}", err=True)
    sys.stdout.flush()
