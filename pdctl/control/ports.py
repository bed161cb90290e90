"""The effects that steps use, as Protocols: HTTP through a node, and the list of members."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pdctl.model.observed import MembershipSeen
from pdctl.routers.members import Member

__all__ = ["Answer", "Http", "Member", "Membership", "NotAnswering", "NotListening"]


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read whole."""

    status: int
    text: str


class NotAnswering(Exception):
    """Nothing answered: refused, reset, timed out or unreachable. Says nothing about why the other side is silent."""


class NotListening(NotAnswering):
    """The node itself refused the connection: nothing listens on that port, so nothing is being answered there."""


class Http(Protocol):
    """HTTP to what listens on or near a node, through the node's connection or directly."""

    async def request(
        self,
        node: str,
        method: str,
        url: str,
        *,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float,
    ) -> Answer:
        """One request. Raises NotAnswering where no whole answer came in time, NotListening where none can come."""
        ...


class Membership(Protocol):
    """The members file on the router's node, and the registrar's word on it."""

    async def members(self) -> Mapping[str, Member]:
        """What the members file holds now; empty where there is none yet."""
        ...

    async def replace(self, members: Mapping[str, Member], *, epoch: int) -> None:
        """Write the whole list atomically. Raises EpochRefused if a newer operator has written it."""
        ...

    async def clear(self, *, epoch: int) -> None:
        """Remove the file and the registrar's word, once that is stopped for good. Raises as `replace` does."""
        ...

    async def seen(self) -> MembershipSeen:
        """The registrar's state. Raises NodeError's kinds, or InstanceError if it does not run."""
        ...
