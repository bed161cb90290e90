"""`pdctl undrain`."""

from __future__ import annotations

import click

from pdctl.cli.global_options import Globals
from pdctl.cli.proposal_view import show_proposal
from pdctl.cli.session import change, confirm
from pdctl.control.drain import propose_undrain, undrain
from pdctl.control.journal import Session
from pdctl.control.opened import Opened
from pdctl.control.pin import forget_holds
from pdctl.control.request import UndrainRequest
from pdctl.errors import UsageError


@click.command("undrain")
@click.argument("selectors", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Only show the steps.")
@click.option("--forget-all", is_flag=True, help="Begin a new record of holds, where the old one is damaged.")
@click.pass_obj
def command(options: Globals, selectors: tuple[str, ...], dry_run: bool, forget_all: bool) -> int:
    """Take holds away, and bring back what they kept out of service: what runs is proven and registered, what does
    not is started.
    """
    if forget_all == bool(selectors):
        raise UsageError("say which slots, or --forget-all", hint="`pdctl status` shows what is held")
    if forget_all:
        confirm(options, "undrain", "Forget every hold of this cluster?")
        return change(options, "undrain", forget_holds)
    request = UndrainRequest(selectors)
    if dry_run:
        return show_proposal(options, lambda opened: propose_undrain(opened, request))

    async def act(opened: Opened, session: Session) -> int:
        return await undrain(opened, request, session)

    return change(options, "undrain", act)
