"""`trust`: show the nodes' host keys, and pin those that the operator has compared."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from pdctl.errors import NodeError
from pdctl.model.deployment import Deployment
from pdctl.ssh.pool import HostKeyOffer, SshShells

__all__ = ["HostKeyOffer", "Offered", "offered_keys"]


@dataclass(frozen=True, slots=True)
class Offered:
    """What one node's way offers: the keys of its jump hosts and its own, or why it could not be asked."""

    node: str
    offers: tuple[HostKeyOffer, ...] = ()
    trouble: str = ""
    hint: str = ""
    exit_code: int = 0

    @property
    def complete(self) -> bool:
        """Whether nothing is left to be trusted behind what is shown (a jump host hides what lies behind it)."""
        return bool(self.offers) and self.offers[-1].name == self.node


async def offered_keys(deployment: Deployment, nodes: Sequence[str]) -> tuple[Offered, ...]:
    """The keys on the way to each node, as offered now; nothing is trusted, and only jump hosts are logged in to."""
    shells = SshShells(deployment.nodes)
    try:
        return tuple(await asyncio.gather(*(_ask(shells, node) for node in nodes)))
    finally:
        await shells.close()


async def _ask(shells: SshShells, node: str) -> Offered:
    try:
        return Offered(node, await shells.offers(node))
    except NodeError as error:
        return Offered(node, (), error.cause, error.hint, error.exit_code)
