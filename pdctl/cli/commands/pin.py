"""`pdctl pin`."""

from __future__ import annotations

import time

import click

from pdctl.cli.duration_type import DURATION
from pdctl.cli.global_options import Globals
from pdctl.cli.session import change
from pdctl.control.journal import Session
from pdctl.control.lease import operator
from pdctl.control.opened import Opened
from pdctl.control.pin import pin
from pdctl.model.hold import Hold, HoldKind


@click.command("pin")
@click.argument("selectors", nargs=-1, required=True)
@click.option("--reason", default="", help="Written on the hold, for whoever comes by.")
@click.option("--for", "hold_s", type=DURATION, help="The hold runs out by itself after this long: 30m, 2h.")
@click.pass_obj
def command(options: Globals, selectors: tuple[str, ...], reason: str, hold_s: float | None) -> int:
    """Keep slots in their pool: they serve on, and nothing moves them. `undrain` takes it away."""

    async def act(opened: Opened, session: Session) -> int:
        now_s = time.time()
        until_s = None if hold_s is None else now_s + hold_s
        return await pin(opened, selectors, Hold("", HoldKind.PINNED, operator(), reason, now_s, until_s), session)

    return change(options, "pin", act)
