"""The operator's keys: read once per run, then offered to every node.

Reading a key costs milliseconds (a KDF even), and agents drop bursts of requests, so neither happens per node. The
agent is asked only where the inventory says `agent: true`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import asyncssh

DEFAULT_IDENTITIES = ("id_ed25519", "id_ecdsa", "id_rsa")
"""Looked for in ~/.ssh where the inventory names no identity, in this order."""

Offer: TypeAlias = asyncssh.SSHKey | tuple[asyncssh.SSHKey, asyncssh.SSHCertificate | None] | asyncssh.SSHKeyPair


@dataclass(frozen=True, slots=True)
class Keys:
    """What can be offered to a node. `labels` name the keys for error messages, `problems` what could not be used."""

    offers: tuple[Offer, ...]
    labels: tuple[str, ...]
    problems: tuple[str, ...] = ()


class KeyRing:
    """Reads each identity and asks the agent once, at first use."""

    def __init__(self, *, home: Path | None = None, agent_path: str | None = None) -> None:
        self._home = home
        self._agent_path = agent_path if agent_path is not None else os.environ.get("SSH_AUTH_SOCK", "")
        self._agent: asyncssh.SSHAgentClient | None = None
        self._agent_keys: Keys | None = None
        self._asking = asyncio.Lock()
        self._read: dict[tuple[str, ...], Keys] = {}

    async def keys(self, identities: tuple[str, ...], *, agent: bool) -> Keys:
        """The keys in these files (the default ones where none is named), then the agent's if it may be asked.

        Never raises: what cannot be read is a problem of the answer, as another key may still do.
        """
        own = self._from_files(identities)
        if not agent:
            return own
        async with self._asking:
            if self._agent_keys is None or not self._agent_keys.offers:
                self._agent_keys = await self._from_agent()
        return _joined(own, self._agent_keys)

    async def close(self) -> None:
        """Close the connection to the agent."""
        if self._agent is not None:
            self._agent.close()
            with contextlib.suppress(OSError):
                await self._agent.wait_closed()
            self._agent = None

    def _from_files(self, identities: tuple[str, ...]) -> Keys:
        if identities not in self._read:
            ssh_dir = (self._home or Path.home()) / ".ssh"
            paths = [Path(identity).expanduser() for identity in identities]
            if not paths:
                paths = [path for name in DEFAULT_IDENTITIES if (path := ssh_dir / name).is_file()]
            keys = Keys((), ())
            for path in paths:
                keys = _joined(keys, _read_identity(path))
            self._read[identities] = keys
        return self._read[identities]

    async def _from_agent(self) -> Keys:
        if not self._agent_path:
            return Keys((), (), ("no SSH agent is running (SSH_AUTH_SOCK is not set)",))
        try:
            if self._agent is None:
                self._agent = await asyncssh.connect_agent(self._agent_path)
            pairs = tuple(await self._agent.get_keys())
        except (OSError, ValueError) as exc:
            return Keys((), (), (f"the SSH agent does not answer ({exc})",))
        return Keys(pairs, tuple(f"agent:{pair.get_comment() or pair.get_algorithm()}" for pair in pairs))


def _read_identity(path: Path) -> Keys:
    """One private key, with `<path>-cert.pub` where that exists: as OpenSSH pairs them."""
    try:
        key = asyncssh.read_private_key(path)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as exc:
        if "assphrase" in str(exc):
            return Keys((), (), (f"{path} is protected by a passphrase",))
        return Keys((), (), (f"{path} is not a private key that can be read ({exc})",))
    except OSError as exc:
        return Keys((), (), (f"{path}: {(exc.strerror or str(exc)).lower()}",))
    certificate_path = path.with_name(path.name + "-cert.pub")
    certificate = _optional(lambda: asyncssh.read_certificate(certificate_path))
    if certificate is None:
        return Keys((key,), (str(path),))
    return Keys(((key, certificate), key), (str(certificate_path), str(path)))


def _optional(read: Callable[[], asyncssh.SSHCertificate]) -> asyncssh.SSHCertificate | None:
    try:
        return read()
    except (OSError, asyncssh.KeyImportError):
        return None


def _joined(first: Keys, second: Keys) -> Keys:
    return Keys(first.offers + second.offers, first.labels + second.labels, first.problems + second.problems)
