"""Where a node is dialled: its address, login, keys and the jump hosts before it, from inventory and ssh_config.

An ssh_config is read only where the inventory names it, once per node, and only for the keywords below. Its trust
and algorithm settings never count: `UserKnownHostsFile none` alone makes asyncssh connect unverified (measured with
2.24), so nothing of the file is handed to asyncssh.
"""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import asyncssh
from asyncssh.config import SSHClientConfig

from pdctl.errors import UsageError
from pdctl.model.deployment import NodeSpec, SshSettings
from pdctl.ssh.hostkeys import DEFAULT_PORT, default_known_hosts

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One SSH server to log in to. `name` is for messages; `alias` is the name its host key is pinned under."""

    name: str
    host: str
    port: int
    user: str
    alias: str
    identities: tuple[str, ...]
    agent: bool
    known_hosts: Path
    accept_new: bool
    connect_timeout_s: float
    keepalive_s: float
    keepalive_count: int
    note: str = ""  # what of the ssh_config is not honoured and may explain a failure


@dataclass(frozen=True, slots=True)
class _Keywords:
    """What an ssh_config may say: Hostname, Port, User, IdentityFile, ProxyJump, HostKeyAlias."""

    host: str | None = None
    port: int | None = None
    user: str | None = None
    identities: tuple[str, ...] = ()
    jump: str | None = None
    alias: str | None = None
    note: str = ""


def route(node: NodeSpec) -> tuple[Endpoint, ...]:
    """The servers to log in to, one through the other; the last is the node itself.

    What the inventory says wins over the ssh_config. Raises UsageError for an ssh_config or a jump host that cannot
    be understood.
    """
    settings = node.ssh
    keywords = _keywords(settings.ssh_config, node.host, settings.user)
    target = _endpoint(node.name, node.host, node.port, settings.user, settings, keywords)
    jumps = settings.jump or keywords.jump or ""
    hops = tuple(_jump(hop.strip(), settings) for hop in jumps.split(",") if hop.strip())
    return (*hops, target)


def parse_jump(text: str) -> tuple[str | None, str, int | None]:
    """`[user@]host[:port]` as (user, host, port); an IPv6 address stands in brackets. Raises UsageError."""
    user, at, place = text.rpartition("@")
    if place.startswith("["):
        host, _, rest = place[1:].partition("]")
        port = rest[1:] if rest.startswith(":") else rest and "?"
    elif place.count(":") > 1:
        host, port = place, ""
    else:
        host, _, port = place.partition(":")
    if not host or host.startswith("-") or (at and not user) or (port and not port.isdecimal()):
        raise UsageError(f"not a jump host: {text!r}", hint="write it as [user@]host[:port]")
    return user or None, host, int(port) if port else None


def _jump(text: str, settings: SshSettings) -> Endpoint:
    user, host, port = parse_jump(text)
    keywords = _keywords(settings.ssh_config, host, user)
    login = user or keywords.user or settings.user
    return _endpoint(host, host, port or DEFAULT_PORT, login, settings, keywords)


def _endpoint(name: str, host: str, port: int, user: str, settings: SshSettings, keywords: _Keywords) -> Endpoint:
    address = keywords.host or host
    return Endpoint(
        name=name,
        host=address,
        port=port if port != DEFAULT_PORT else keywords.port or DEFAULT_PORT,
        user=user,
        alias=keywords.alias or address,
        identities=(settings.identity,) if settings.identity else keywords.identities,
        agent=settings.agent,
        known_hosts=Path(settings.known_hosts) if settings.known_hosts else default_known_hosts(),
        accept_new=settings.accept_new,
        connect_timeout_s=settings.connect_timeout_s,
        keepalive_s=settings.keepalive_s,
        keepalive_count=settings.keepalive_count,
        note=keywords.note,
    )


def _keywords(path: str | None, host: str, user: str | None) -> _Keywords:
    if path is None:
        return _Keywords()
    try:
        config = SSHClientConfig.load(
            None,
            [path], False, False, False, getpass.getuser(), user or (), host, (),
        )  # fmt: skip
    except (OSError, ValueError, asyncssh.ConfigParseError) as exc:
        raise UsageError(f"{path}: {exc}", hint="correct the file, or remove `ssh_config` from the inventory") from exc
    identities = config.get("IdentityFile", [])
    jump = _typed(config.get("ProxyJump"), str)
    return _Keywords(
        host=_typed(config.get("Hostname"), str),
        port=_typed(config.get("Port"), int),
        user=_typed(config.get("User"), str),
        identities=tuple(str(identity) for identity in identities) if isinstance(identities, list) else (),
        jump=jump,
        alias=_typed(config.get("HostKeyAlias"), str),
        note=(
            f"{path} has a ProxyCommand for it, which pdctl does not run: name a jump host instead"
            if config.get("ProxyCommand") and not jump
            else ""
        ),
    )


def _typed(value: object, kind: type[T]) -> T | None:
    return value if isinstance(value, kind) else None
