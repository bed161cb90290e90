"""`pdctl up`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pdctl.cli.chosen import chosen_instances
from pdctl.cli.global_options import Globals
from pdctl.cli.session import change
from pdctl.control.journal import Session
from pdctl.control.opened import Opened
from pdctl.control.up import UpOptions, up
from pdctl.errors import UsageError

if TYPE_CHECKING:
    from pdctl.control.saved_plan import SavedPlan


@click.command("up")
@click.argument("selectors", nargs=-1)
@click.option("--target", "targets", multiple=True, metavar="SELECTOR", help="The same as a positional SELECTOR.")
@click.option(
    "--adopt",
    is_flag=True,
    help="Go on although somebody applied another inventory since, and replace what was started by hand.",
)
@click.option(
    "--at-once",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="How many instances of a pool may be out of service together.",
)
@click.option("--force", is_flag=True, help="Go on although a pool falls below its floor for a while.")
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

    SELECTORS limit it to nodes, slots, instances or @pools; the FILE.json of `pdctl plan --save` does what was planned,
    if nothing has changed since. A second `up` changes nothing. Nodes where something will start are checked first
    (`pdctl check`): a slot that is not fit is left out, and named.
    """
    chosen = (*selectors, *targets)
    saved = _saved(chosen)
    if saved is not None and (adopt or force or at_once != 1):
        raise UsageError("a saved plan has its options in it", hint="give them to `pdctl plan --save`")

    async def act(opened: Opened, session: Session) -> int:
        only = None if saved is not None else chosen_instances(opened.deployment, chosen)
        asked = UpOptions(only=only, adopt=adopt, at_once=at_once, force=force, skip_checks=skip_checks)
        return await up(opened, asked, session, saved)

    return change(options, "up", act)


def _saved(chosen: tuple[str, ...]) -> SavedPlan | None:
    """The saved plan that was named; None where selectors were."""
    files = [name for name in chosen if name.endswith(".json")]
    if not files:
        return None
    if len(chosen) > 1:
        raise UsageError(f"{files[0]} is a whole plan: nothing else goes with it")
    from pdctl.control.saved_plan import read_plan  # pydantic, which other commands do without

    return read_plan(Path(files[0]))
