"""`pdctl up`."""

from __future__ import annotations

import click

from pdctl.cli.chosen import chosen_instances
from pdctl.cli.global_options import Globals
from pdctl.cli.session import change
from pdctl.control.journal import Session
from pdctl.control.opened import Opened
from pdctl.control.up import UpOptions, up


@click.command("up")
@click.argument("selectors", nargs=-1)
@click.option("--adopt", is_flag=True, help="Go on although somebody applied another inventory since.")
@click.option(
    "--at-once",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="How many instances of a pool may be out of service together.",
)
@click.option("--force", is_flag=True, help="Go on although a pool falls below its floor for a while.")
@click.option("--target", "targets", multiple=True, metavar="SELECTOR", help="The same as a positional SELECTOR.")
@click.option("--skip-checks", is_flag=True, help="Start without checking the nodes first.")
@click.pass_obj
def command(
    options: Globals,
    selectors: tuple[str, ...],
    targets: tuple[str, ...],
    adopt: bool,
    at_once: int,
    force: bool,
    skip_checks: bool,
) -> int:
    """Make the cluster what the inventory says: start what is missing, adopt what runs, replace what differs.

    SELECTORS limit it to nodes, slots, instances or @pools. A second `up` changes nothing. Nodes where something will
    start are checked first (`pdctl check`): a slot that is not fit is left out, and named.
    """

    async def act(opened: Opened, session: Session) -> int:
        only = chosen_instances(opened.deployment, (*selectors, *targets))
        asked = UpOptions(only=only, adopt=adopt, at_once=at_once, force=force, skip_checks=skip_checks)
        return await up(opened, asked, session)

    return change(options, "up", act)
