"""`pdctl restart`."""

from __future__ import annotations

import click

from pdctl.cli.chosen import chosen_instances
from pdctl.cli.global_options import Globals
from pdctl.cli.session import change, confirm
from pdctl.control.journal import Session
from pdctl.control.opened import Opened
from pdctl.control.up import UpOptions, up


@click.command("restart")
@click.argument("selectors", nargs=-1, required=True)
@click.pass_obj
def command(options: Globals, selectors: tuple[str, ...]) -> int:
    """Relaunch instances with new generations and ports: fence, drain, stop, start, canary, register.

    Instances of one role are taken one at a time, so that the others serve on.
    """
    confirm(options, "restart", f"Restart {', '.join(selectors)}?")

    async def act(opened: Opened, session: Session) -> int:
        only = chosen_instances(opened.deployment, selectors) or frozenset()
        return await up(opened, UpOptions(only=only, restart=only), session)

    return change(options, "restart", act)
