"""`restart`: relaunch instances as they are, in waves that keep floors."""

from __future__ import annotations

import asyncio

from pdctl.control.journal import Session
from pdctl.control.opened import Opened
from pdctl.control.proposal import Proposal
from pdctl.control.proposing import proposal_of, read_record, seen_now
from pdctl.control.request import RestartRequest
from pdctl.control.up import FLOOR_HINT, UpOptions, decide, refuse_unsupported, up
from pdctl.errors import PlanRefused
from pdctl.inventory.select import select


async def propose_restart(opened: Opened, request: RestartRequest) -> Proposal:
    """What `restart` would do now. Read-only. Raises as it would."""
    refuse_unsupported(opened.deployment)
    seen, told = await asyncio.gather(seen_now(opened), read_record(opened))
    decided = decide(opened.deployment, _options(opened, request), seen, told.applied)
    if decided.short and not request.force:
        raise PlanRefused("; ".join(decided.short), hint=FLOOR_HINT)
    return proposal_of(opened.deployment, seen, decided.plan, restart_command(request), told.entries)


async def restart(opened: Opened, request: RestartRequest, session: Session) -> int:
    """Relaunch them: fence, drain, stop, start, canary, register. Returns the exit code."""
    return await up(opened, _options(opened, request), session)


def restart_command(request: RestartRequest) -> tuple[str, ...]:
    """The argv of the CLI twin."""
    at_once = ("--at-once", str(request.at_once)) if request.at_once != 1 else ()
    return ("pdctl", "restart", *request.selectors, *at_once, *(("--force",) if request.force else ()))


def _options(opened: Opened, request: RestartRequest) -> UpOptions:
    chosen = frozenset(instance.name for instance in select(opened.deployment, request.selectors).instances)
    return UpOptions(only=chosen, restart=chosen, at_once=request.at_once, force=request.force)
