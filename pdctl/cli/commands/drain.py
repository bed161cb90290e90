"""`pdctl drain`."""

from __future__ import annotations

import time

import click

from pdctl.cli.duration_type import DURATION
from pdctl.cli.global_options import Globals
from pdctl.cli.proposal_view import show_proposal
from pdctl.cli.session import change, confirm
from pdctl.control.drain import drain, propose_drain
from pdctl.control.journal import Session
from pdctl.control.opened import Opened
from pdctl.control.request import DrainRequest


@click.command("drain")
@click.argument("selectors", nargs=-1, required=True)
@click.option("--reason", default="", help="Written on the hold, for whoever comes by.")
@click.option("--for", "hold_s", type=DURATION, help="The hold runs out by itself after this long: 30m, 2h.")
@click.option("--stop", is_flag=True, help="Stop the engines too, once they are drained.")
@click.option("--deadline", "deadline_s", type=DURATION, help="The longest wait for requests in flight.")
@click.option("--force", is_flag=True, help="Go below a pool's floor, and over somebody else's hold.")
@click.option("--dry-run", is_flag=True, help="Only show the steps.")
@click.pass_obj
def command(
    options: Globals,
    selectors: tuple[str, ...],
    reason: str,
    hold_s: float | None,
    stop: bool,
    deadline_s: float | None,
    force: bool,
    dry_run: bool,
) -> int:
    """Take slots out of service and hold them there: no command starts, registers or moves them until `undrain`.

    The router stops choosing them, what they have in hand ends whole, then they are drained. Ctrl-C before that takes
    it back. With --stop, what is left at the deadline is cut, counted and named.
    """
    until_s = None if hold_s is None else time.time() + hold_s
    request = DrainRequest(selectors, reason=reason, until_s=until_s, stop=stop, force=force, deadline_s=deadline_s)
    if dry_run:
        return show_proposal(options, lambda opened: propose_drain(opened, request))
    confirm(options, "drain", f"Drain {', '.join(selectors)}{' and stop' if stop else ''}?")

    async def act(opened: Opened, session: Session) -> int:
        return await drain(opened, request, session)

    return change(options, "drain", act)
