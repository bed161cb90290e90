"""`pdctl router move` and `pdctl router restart`."""

from __future__ import annotations

import click

from pdctl.cli.global_options import Globals
from pdctl.cli.session import change, confirm
from pdctl.control.journal import Session
from pdctl.control.opened import Opened, open_cluster
from pdctl.control.router_move import move_router, restart_router


@click.group("router")
def command() -> None:
    """The router: move it to another node, or start it anew."""


@command.command("move")
@click.argument("node")
@click.pass_obj
def move(options: Globals, node: str) -> int:
    """Start a router on NODE beside the old one, prove it, and let the old one go when no client uses it any more.

    Clients have to be told the new address: `pdctl` waits until the old router has been given nothing for 30 s, for as
    long as `budgets.drain` at most. Both serve until then, so no request is lost. `router.node` is written into the
    inventory.
    """
    confirm(options, "router move", f"Move the router to {node}? Clients have to go there.")

    async def act(opened: Opened, session: Session) -> int:
        return await move_router(opened, node, session, open_cluster)

    return change(options, "router move", act)


@command.command("restart")
@click.pass_obj
def restart(options: Globals) -> int:
    """Start the router anew. What it holds ends whole; until it answers again, new requests are refused.

    `pdctl router move` to another node refuses none.
    """
    confirm(options, "router restart", "Start the router anew? New requests are refused until its streams have ended.")

    async def act(opened: Opened, session: Session) -> int:
        return await restart_router(opened, session)

    return change(options, "router restart", act)
