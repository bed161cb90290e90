"""The membership of one cluster, through the router's node: the members file, and the registrar's word on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from pdctl.errors import InstanceError
from pdctl.model.deployment import Deployment
from pdctl.model.observed import MembershipSeen
from pdctl.model.role import SupervisorKind
from pdctl.routers.members import Member, members_document, parse_members, parse_state
from pdctl.ssh.ports import Shell
from pdctl.ssh.program import NodeProgram, run_program

DEADLINE_S = 20.0
STALE_S = 10.0
"""The registrar writes its state every second; older than this and it hangs or is gone."""
SYSTEM_ROOT = "/var/lib/pdctl"
_HINT = "look at `pdctl logs registrar`; `pdctl up` starts it again"


class NodeMembership:
    """The list of members on the router's node. `flip` is the router's, see `ports.py`."""

    def __init__(self, shell: Shell, deployment: Deployment, *, flip: int = 0) -> None:
        self._shell = shell
        self._deployment = deployment
        self._flip = flip
        by_process = deployment.router.supervisor is SupervisorKind.PROCESS
        self._root = deployment.state_dir or (None if by_process else SYSTEM_ROOT)

    async def members(self) -> Mapping[str, Member]:
        """What the members file holds now; empty where there is none yet.

        Raises NodeError's kinds; InstanceError for a file that is not ours to understand.
        """
        text = (await self._run({"op": "read"}))["members"]
        try:
            return parse_members(text)
        except ValueError as error:
            raise InstanceError("registrar", str(error), hint="`pdctl up` writes the members file anew") from error

    async def replace(self, members: Mapping[str, Member], *, epoch: int) -> None:
        """Write the whole list, atomically and durably. Raises EpochRefused, and NodeError's other kinds."""
        document = members_document(self._deployment, members, epoch=epoch, flip=self._flip)
        await self._run({"op": "write", "document": document})

    async def clear(self, *, epoch: int) -> None:
        """Remove the list and the registrar's word. Raises as `replace` does."""
        await self._run({"op": "clear", "epoch": epoch})

    async def seen(self) -> MembershipSeen:
        """The registrar's state. Raises InstanceError where there is none that is fresh: unknown, never empty."""
        answer = await self._run({"op": "read"})
        if not answer["state"]:
            raise InstanceError("registrar", "has not said anything yet", hint=_HINT)
        try:
            seen = parse_state(answer["state"]).seen(float(answer["now"]))
            listed = {member.name: member.generation for member in parse_members(answer["members"]).values()}
        except ValueError as error:
            raise InstanceError("registrar", str(error), hint=_HINT) from error
        if seen.age_s > STALE_S:
            raise InstanceError("registrar", f"has said nothing for {seen.age_s:.0f} s", hint=_HINT)
        return replace(seen, listed=listed)

    async def _run(self, request: Mapping[str, Any]) -> dict[str, Any]:
        payload = {**request, "root": self._root, "cluster": self._deployment.cluster}
        return await run_program(self._shell, _program(), payload, deadline_s=DEADLINE_S)


@cache
def _program() -> NodeProgram:
    return NodeProgram.packaged("pdctl.routers", "members_on_node.py")
