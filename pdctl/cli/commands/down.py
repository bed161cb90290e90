"""`pdctl down`."""

from __future__ import annotations

import click

from pdctl.cli.chosen import chosen_instances
from pdctl.cli.global_options import Globals
from pdctl.cli.session import change, confirm
from pdctl.control.down import down
from pdctl.control.journal import Session
from pdctl.control.opened import Opened


@click.command("down")
@click.argument("selectors", nargs=-1)
@click.option("--now", is_flag=True, help="An emergency: stop at once, cut what is in flight.")
@click.pass_obj
def command(options: Globals, selectors: tuple[str, ...], now: bool) -> int:
    """Fence, drain, stop and verify; then the router and the registrar. What is gone already is a success.

    With SELECTORS only those instances are stopped and the router serves on.
    """
    confirm(options, "down", f"Take {', '.join(selectors) or 'the whole cluster'} down{' NOW' if now else ''}?")

    async def act(opened: Opened, session: Session) -> int:
        only = chosen_instances(opened.deployment, selectors)
        return await down(opened, session, only=only, now=now)

    return change(options, "down", act)
