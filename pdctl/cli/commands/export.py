"""`pdctl export`."""

from __future__ import annotations

from pathlib import Path

import click

from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.cli.session import read
from pdctl.control.export import export_prometheus, export_targets
from pdctl.control.opened import Opened
from pdctl.errors import UsageError


@click.command("export")
@click.argument("kind", type=click.Choice(["prometheus"]))
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--interval", "interval_s", type=click.FloatRange(0.5, 60.0), default=1.0, show_default=True)
@click.option("--targets-only", is_flag=True, help="Write only the engines' addresses again, after a change.")
@click.pass_obj
def command(options: Globals, kind: str, directory: Path, interval_s: float, targets_only: bool) -> int:
    """Write a scrape job, the engines' addresses, recording rules, alert rules and a Grafana dashboard.

    Prometheus must reach the engines' data addresses. Then `telemetry: {source: prometheus, url: ...}` in the inventory
    lets `pdctl watch` read from it.
    """

    async def act(opened: Opened) -> int:
        try:
            if targets_only:
                written = [await export_targets(opened.cluster, directory)]
            else:
                written = await export_prometheus(opened.cluster, directory, interval_s=interval_s)
        except OSError as error:
            raise UsageError(
                f"{directory} cannot be written: {error.strerror or error}", hint="name a directory of yours"
            ) from error
        if options.json:
            files = [str(path) for path in written]
            say_json(options, "exported", {"kind": kind, "files": files}, cluster=opened.deployment.cluster)
        else:
            for path in written:
                click.echo(str(path))
        return 0

    return read(options, act)
