"""`pdctl restart`."""

from __future__ import annotations

import click

from pdctl.cli.global_options import Globals
from pdctl.cli.proposal_view import show_proposal
from pdctl.cli.session import change, confirm
from pdctl.control.journal import Session
from pdctl.control.opened import Opened
from pdctl.control.request import RestartRequest
from pdctl.control.restart import propose_restart, restart


@click.command("restart")
@click.argument("selectors", nargs=-1, required=True)
@click.option(
    "--at-once",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="How many instances of a pool may be out of service together.",
)
@click.option("--rolling", is_flag=True, help="In turns that keep the floors: what it does anyway.")
@click.option("--force", is_flag=True, help="Go on although a pool falls below its floor for a while.")
@click.option("--dry-run", is_flag=True, help="Only show the steps, their times and what the pools lose meanwhile.")
@click.pass_obj
def command(
    options: Globals, selectors: tuple[str, ...], at_once: int, rolling: bool, force: bool, dry_run: bool
) -> int:
    """Relaunch instances with new generations and ports: fence, drain, stop, start, canary, register.

    Instances of a pool are taken one at a time, or `--at-once` so many, so that the others serve on.
    """
    request = RestartRequest(selectors, at_once, force)
    if dry_run:
        return show_proposal(options, lambda opened: propose_restart(opened, request))
    confirm(options, "restart", f"Restart {', '.join(selectors)}?")

    async def act(opened: Opened, session: Session) -> int:
        return await restart(opened, request, session)

    return change(options, "restart", act)
