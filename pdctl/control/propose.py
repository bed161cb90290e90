"""What a request would do now: the same for the command line, the TUI and playbooks. Changes nothing."""

from __future__ import annotations

from pdctl.control.drain import propose_drain, propose_undrain
from pdctl.control.move import propose_move
from pdctl.control.opened import Opened
from pdctl.control.proposal import Proposal
from pdctl.control.request import DrainRequest, MoveRequest, Request, RestartRequest, UndrainRequest
from pdctl.control.restart import propose_restart


async def propose(opened: Opened, request: Request) -> Proposal:
    """The plan with expected times and dips. Raises PdctlError's kinds as `carry_out` would, PlanRefused above all."""
    match request:
        case MoveRequest():
            return await propose_move(opened, request)
        case DrainRequest():
            return await propose_drain(opened, request)
        case UndrainRequest():
            return await propose_undrain(opened, request)
        case RestartRequest():
            return await propose_restart(opened, request)
