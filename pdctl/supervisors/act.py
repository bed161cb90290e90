"""One action of a supervisor on its node: a program, its answer, and whose error a refusal is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pdctl.errors import CommandFailed, InstanceError, NodeError
from pdctl.ssh.ports import Shell
from pdctl.ssh.program import NodeProgram, run_program

ACTION_DEADLINE_S = 45.0
"""More than the node side waits for anything: its lock (20 s), a hung file system (5 s), an exec (10 s)."""

STOP_MARGIN_S = 75.0
"""On top of the unit's own stop budget: the lock, then SIGKILL and the waits for what it leaves, twice."""


class _Refused(NodeError):
    """The node's own refusal, before it is said whose it is."""


async def act(
    shell: Shell,
    program: NodeProgram,
    payload: Mapping[str, Any],
    *,
    deadline_s: float = ACTION_DEADLINE_S,
    subject: str | None = None,
) -> dict[str, Any]:
    """One exec. A refusal is an InstanceError where it concerns one unit, `subject`, else the node's CommandFailed.

    Raises EpochRefused and what `run_program` raises.
    """
    try:
        return await run_program(shell, program, payload, deadline_s=deadline_s, errors=_REFUSALS)
    except _Refused as refused:
        if subject is None:
            raise CommandFailed(refused.node, refused.cause, hint=refused.hint) from None
        raise InstanceError(subject, f"on {refused.node}: {refused.cause}", hint=refused.hint) from None


def look_request(claim: int | None) -> dict[str, Any]:
    """What a look asks for besides itself: with `claim`, that lease epoch is made known on the node first."""
    return {} if claim is None else {"claim": True, "epoch": claim}


_REFUSALS = dict.fromkeys(
    (
        "address",
        "alive",
        "busy",
        "disk",
        "env",
        "exec",
        "foreign",
        "gpu",
        "image",
        "path",
        "port",
        "shared",
        "supervisor",
        "used",
    ),
    _Refused,
)
