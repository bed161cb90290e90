"""`pdctl advise decisions`."""

from __future__ import annotations

import click

from pdctl.cli.global_options import Globals
from pdctl.cli.json_line import say_json
from pdctl.control.clock import utc
from pdctl.control.decision_book import SHOWN, DecisionBook
from pdctl.control.read_deployment import read_deployment
from pdctl.text.decisions import decision_line
from pdctl.text.escape import one_line


@click.command("decisions")
@click.option("--last", "count", type=click.IntRange(1, 2000), default=SHOWN, show_default=True, help="How many.")
@click.pass_obj
def command(options: Globals, count: int) -> int:
    """What `watch --auto` decided on this machine, with the figures that it decided on: the last ones, oldest first."""
    cluster = read_deployment(options.inventory)[1].cluster
    book = DecisionBook.of(cluster)
    entries = book.last(count)
    if options.json:
        say_json(options, "decisions", {"decisions": entries, "file": str(book.path)}, cluster=cluster)
        return 0
    if not entries:
        click.echo(f"no decision is known here: `pdctl watch --auto=suggest` makes some ({book.path})")
    for entry in entries:
        click.echo(f"{utc(entry.get('ts'), '%Y-%m-%d %H:%M:%S')}  {one_line(decision_line(entry))}")
        if options.verbose and isinstance(entry.get("numbers"), dict):
            figures = ", ".join(f"{name} {value:.4g}" for name, value in entry["numbers"].items())
            click.echo(f"    {one_line(figures)}")
    return 0
