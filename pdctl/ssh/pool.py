"""The shells of all nodes: one link per node, jump hosts dialled once and shared."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from pdctl.model.deployment import NodeSpec
from pdctl.ssh.dial import DialLimit, dial, fetch_host_key
from pdctl.ssh.endpoint import Endpoint, route
from pdctl.ssh.hostkeys import KnownHostsFile, fingerprint, pin, public_line
from pdctl.ssh.keys import KeyRing
from pdctl.ssh.link import Link
from pdctl.ssh.refusals import rerouted
from pdctl.ssh.shell import SshShell


@dataclass(frozen=True, slots=True)
class HostKeyOffer:
    """What `pdctl trust` shows before it pins: the key a host offers, and the fingerprints pinned for it so far."""

    name: str
    host: str
    port: int
    algorithm: str
    fingerprint: str
    pinned: tuple[str, ...]
    key: str  # "type base64"
    known_hosts: Path

    @property
    def trusted(self) -> bool:
        return self.fingerprint in self.pinned


class SshShells:
    """`Shells` over SSH. Make it inside a running event loop's program; it dials nothing by itself."""

    def __init__(
        self, nodes: Mapping[str, NodeSpec], *, limit: DialLimit | None = None, ring: KeyRing | None = None
    ) -> None:
        self._nodes = dict(nodes)
        self._limit = limit or DialLimit()
        self._ring = ring or KeyRing()
        self._files: dict[Path, KnownHostsFile] = {}
        self._links: dict[tuple[Endpoint, ...], Link] = {}
        self._shells: dict[str, SshShell] = {}

    def add(self, node: NodeSpec) -> None:
        """Know one more node; one that is known already stays as it is."""
        self._nodes.setdefault(node.name, node)

    def spec(self, node: str) -> NodeSpec:
        """The node of that name. Raises KeyError."""
        return self._nodes[node]

    def shell(self, node: str) -> SshShell:
        """See `Shells`. Raises UsageError where the node's jump host or ssh_config makes no sense."""
        if node not in self._shells:
            self._shells[node] = SshShell(node, self._link(route(self._nodes[node])))
        return self._shells[node]

    async def offers(self, node: str) -> tuple[HostKeyOffer, ...]:
        """The host keys on the way to `node`, the outermost jump host's first, the node's last.

        It ends with the first jump host whose key is not trusted yet: nothing behind it can be asked. Raises
        Unreachable and its kinds.
        """
        hops = route(self._nodes[node])
        offers: list[HostKeyOffer] = []
        for depth, endpoint in enumerate(hops):
            tunnel = await self._link(hops[:depth]).connection() if depth else None
            async with self._limit.slot(hops[depth - 1] if depth else None):
                key = await fetch_host_key(endpoint, limit=self._limit, tunnel=tunnel)
            offers.append(self._offer(endpoint, key))
            if not offers[-1].trusted:
                break
        return tuple(offers)

    async def close(self) -> None:
        """See `Shells`: nodes first, then the jump hosts they came through."""
        for depth in sorted({len(hops) for hops in self._links}, reverse=True):
            await asyncio.gather(*(link.close() for hops, link in self._links.items() if len(hops) == depth))
        await self._ring.close()

    def _link(self, hops: tuple[Endpoint, ...]) -> Link:
        if hops not in self._links:
            self._links[hops] = Link(lambda: self._dial(hops))
        return self._links[hops]

    async def _dial(self, hops: tuple[Endpoint, ...]) -> asyncssh.SSHClientConnection:
        *before, endpoint = hops
        tunnel = None
        if before:
            with rerouted(endpoint.name):
                tunnel = await self._link(tuple(before)).connection()
        keys = await self._ring.keys(endpoint.identities, agent=endpoint.agent)
        known = self._file(endpoint.known_hosts).read()
        async with self._limit.slot(before[-1] if before else None):
            return await dial(endpoint, known, keys, limit=self._limit, tunnel=tunnel)

    def _offer(self, endpoint: Endpoint, key: asyncssh.SSHKey) -> HostKeyOffer:
        pinned = self._file(endpoint.known_hosts).read().lookup(endpoint.alias, endpoint.port)
        return HostKeyOffer(
            name=endpoint.name,
            host=endpoint.alias,
            port=endpoint.port,
            algorithm=key.get_algorithm(),
            fingerprint=fingerprint(key.public_data),
            pinned=tuple(fingerprint(entry.blob) for entry in pinned.keys),
            key=public_line(key),
            known_hosts=endpoint.known_hosts,
        )

    def _file(self, path: Path) -> KnownHostsFile:
        return self._files.setdefault(path, KnownHostsFile(path))


def trust(offer: HostKeyOffer) -> bool:
    """Pin an offered key; False where it was pinned already. The operator has compared the fingerprint."""
    return pin(offer.known_hosts, offer.host, offer.port, offer.key)
