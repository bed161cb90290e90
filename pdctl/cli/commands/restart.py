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
@click.option(
    "--at-once",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="How many instances of a pool may be out of service together.",
)
@click.option("--force", is_flag=True, help="Go on although a pool falls below its floor for a while.")
@click.pass_obj
def command(options: Globals, selectors: tuple[str, ...], at_once: int, force: bool) -> int:
    """Relaunch instances with new generations and ports: fence, drain, stop, start, canary, register.

    Instances of a pool are taken one at a time, or `--at-once` so many, so that the others serve on.
    """
    confirm(options, "restart", f"Restart {', '.join(selectors)}?")

    async def act(opened: Opened, session: Session) -> int:
        only = chosen_instances(opened.deployment, selectors) or frozenset()
        return await up(opened, UpOptions(only=only, restart=only, at_once=at_once, force=force), session)

    return change(options, "restart", act)
