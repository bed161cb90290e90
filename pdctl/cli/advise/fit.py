"""`pdctl advise fit`."""

from __future__ import annotations

import click

from pdctl.cli.global_options import Globals
from pdctl.errors import UsageError


@click.command("fit")
@click.option("--published", is_flag=True, help="Hold the built-in profiles against the published tables.")
@click.option("--refit", is_flag=True, help="With --published: fit anew from the start (minutes), and compare.")
@click.pass_obj
def command(options: Globals, published: bool, refit: bool) -> int:
    """Fit the performance model's constants to measured runs, and say how far off it is.

    --published: plays every published row with the built-in constants, which were fitted on four of them, and prints
    each row's error.
    """
    if refit and not published:
        raise UsageError("--refit is of --published")
    if not published:
        raise UsageError("nothing to fit to", hint="`pdctl advise fit --published`")
    from pdctl.cli.advise.fit_published import published_fit

    return published_fit(options, refit=refit)
