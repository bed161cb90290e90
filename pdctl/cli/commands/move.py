"""`pdctl move`."""

from __future__ import annotations

import click

from pdctl.cli.global_options import Globals
from pdctl.cli.proposal_view import show_proposal
from pdctl.cli.session import change, confirm
from pdctl.control.journal import Session
from pdctl.control.move import move, propose_move
from pdctl.control.opened import Opened
from pdctl.control.request import MoveRequest


@click.command("move")
@click.argument("selectors", nargs=-1, required=True)
@click.option("--to", required=True, metavar="POOL", help="The pool that they go to; `none` makes them spares.")
@click.option(
    "--at-once",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="How many instances of a pool may be out of service together.",
)
@click.option(
    "--on-deadline",
    type=click.Choice(["cut", "cancel"]),
    default="cut",
    show_default=True,
    help="Where a drain takes longer than budgets.drain: go on and count what is lost, or leave the slot where it was.",
)
@click.option(
    "--canary",
    type=click.Choice(["all", "one", "none"]),
    default="all",
    show_default=True,
    help="Prove a pair with every opposite instance, with the first that answers, or none.",
)
@click.option("--force", is_flag=True, help="Go on although a pool falls below its floor for a while.")
@click.option("--skip-checks", is_flag=True, help="Start without checking the nodes first.")
@click.option("--dry-run", is_flag=True, help="Only show the steps, their times and what the pools lose meanwhile.")
@click.pass_obj
def command(
    options: Globals,
    selectors: tuple[str, ...],
    to: str,
    at_once: int,
    on_deadline: str,
    canary: str,
    force: bool,
    skip_checks: bool,
    dry_run: bool,
) -> int:
    """Change the pool of slots, under load: nothing that was asked for is lost.

    The router stops choosing the slot, what it has in hand ends whole, the inventory's one word is replaced, the engine
    stops and starts in its new role, is proven, and serves. Ctrl-C before the stop takes it back. Nodes move with all
    their slots, groups as a whole.
    """
    request = MoveRequest(selectors, to, at_once, force, on_deadline, canary, skip_checks)
    if dry_run:
        return show_proposal(options, lambda opened: propose_move(opened, request))
    confirm(options, "move", f"Move {', '.join(selectors)} to {to}?")

    async def act(opened: Opened, session: Session) -> int:
        return await move(opened, request, session)

    return change(options, "move", act)
