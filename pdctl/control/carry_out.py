"""Do what a request asks for: the same for the command line, the TUI and playbooks."""

from __future__ import annotations

from pdctl.control.drain import drain, undrain
from pdctl.control.journal import Session
from pdctl.control.move import move
from pdctl.control.opened import Opened
from pdctl.control.request import DrainRequest, MoveRequest, Request, RestartRequest, UndrainRequest
from pdctl.control.restart import restart


async def carry_out(opened: Opened, request: Request, session: Session) -> int:
    """Returns the exit code. Raises PdctlError's kinds for what is refused before anything is touched.

    After a move `opened` is of the inventory as it was: open it anew.
    """
    match request:
        case MoveRequest():
            return await move(opened, request, session)
        case DrainRequest():
            return await drain(opened, request, session)
        case UndrainRequest():
            return await undrain(opened, request, session)
        case RestartRequest():
            return await restart(opened, request, session)
