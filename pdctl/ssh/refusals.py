"""Why a login did not come about, as one-line errors with a hint: what asyncssh raised, in the operator's words."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator

import asyncssh

from pdctl.errors import AuthRefused, HostKeyChanged, HostKeyUnknown, Unreachable
from pdctl.ssh.endpoint import Endpoint
from pdctl.ssh.hostkeys import DEFAULT_PORT, Pinned, fingerprint
from pdctl.ssh.keys import Keys
from pdctl.ssh.text import printable


def timed_out(endpoint: Endpoint, *, reached: bool) -> Unreachable:
    """`connect_timeout_s` has passed; `reached`: TCP was there, so the host is up but sshd does not get on."""
    seconds = f"{endpoint.connect_timeout_s:g} s"
    if reached:
        return _unreachable(
            endpoint,
            f"{_place(endpoint)} accepts connections, but no login came about in {seconds}",
            "sshd there hangs, or the host is overloaded",
        )
    return _unreachable(endpoint, f"no answer from {_place(endpoint)} in {seconds}")


def connection(endpoint: Endpoint, exc: Exception) -> Unreachable:
    """Anything below login and host key: names, routes, refusals, a server that is none."""
    place = _place(endpoint)
    if isinstance(exc, asyncssh.ChannelOpenError):
        return _unreachable(endpoint, f"the jump host cannot reach {place}: {_reason(exc)}")
    if isinstance(exc, asyncssh.Error):
        return _unreachable(endpoint, f"{place}: {_reason(exc)}")
    if isinstance(exc, socket.gaierror):
        return _unreachable(endpoint, f"the name {endpoint.host} does not resolve", "correct `host` in the inventory")
    if isinstance(exc, ConnectionRefusedError):
        return _unreachable(endpoint, f"{place} refused the connection")
    if isinstance(exc, OSError) and exc.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        return _unreachable(endpoint, f"no route to {place}")
    # asyncio joins the errors of a name's several addresses into one without an errno.
    text = exc.strerror if isinstance(exc, OSError) else None
    return _unreachable(endpoint, f"{place}: {printable(text or str(exc), max_chars=200)}")


def host_key(endpoint: Endpoint, offered: asyncssh.SSHKey | None, pinned: Pinned, text: str) -> Unreachable:
    """The host's key was not accepted. `offered` is the key where it was looked at; None: revoked, or an invalid
    certificate, as asyncssh's `text` says."""
    place, path = _place(endpoint), endpoint.known_hosts
    if offered is None:
        cause = "is revoked" if "revoked" in text else f"cannot be trusted ({printable(text, max_chars=200)})"
        return HostKeyChanged(
            endpoint.name, f"the host key of {place} {cause}", hint=f"find out why before anything else; see {path}"
        )
    now = f"{offered.get_algorithm()} {fingerprint(offered.public_data)}"
    if not pinned.known:
        return HostKeyUnknown(
            endpoint.name,
            f"the host key of {place} was never pinned: it offers {now}",
            hint=f"compare the fingerprint with the host's own, then: pdctl trust {endpoint.name}",
        )
    entries = pinned.keys or pinned.authorities
    old = ", ".join(f"{entry.key.split()[0]} {fingerprint(entry.blob)}" for entry in entries)
    lines = ", ".join(str(entry.line) for entry in entries)
    return HostKeyChanged(
        endpoint.name,
        f"the host key of {place} has CHANGED: pinned {old}, now offered {now}",
        hint=f"if the host was reinstalled: verify the new key, remove line {lines} of {path}, "
        f"then: pdctl trust {endpoint.name}",
    )


def no_keys(endpoint: Endpoint, keys: Keys) -> AuthRefused:
    """There is nothing to log in with; the node was not asked."""
    cause = "; ".join(keys.problems) or "there is none in ~/.ssh"
    return AuthRefused(endpoint.name, f"no key to log in with: {cause}", hint=_key_hint(keys))


def login(endpoint: Endpoint, keys: Keys) -> AuthRefused:
    """The node took none of the keys."""
    problems = f"; not tried: {'; '.join(keys.problems)}" if keys.problems else ""
    return AuthRefused(
        endpoint.name,
        f"{_place(endpoint)} refused the login of {endpoint.user} with {', '.join(keys.labels)}{problems}",
        hint=_key_hint(keys) if keys.problems else f"add one of these keys to {endpoint.user}'s authorized_keys there",
    )


@contextlib.contextmanager
def rerouted(name: str) -> Iterator[None]:
    """Turn a jump host's failure into the failure of the node behind it, of the same kind."""
    try:
        yield
    except Unreachable as exc:
        # `pdctl trust` takes names of nodes, and pins what is on the way.
        hint = exc.hint.replace(f"pdctl trust {exc.node}", f"pdctl trust {name}")
        raise type(exc)(name, f"jump host {exc.node}: {exc.cause}", hint=hint) from None


def _key_hint(keys: Keys) -> str:
    if any("passphrase" in problem for problem in keys.problems):
        return "ssh-add the key and set `agent: true` under `ssh`, or name a key without passphrase as `identity`"
    return "name the right key as `identity` under `ssh`, or set `agent: true`"


def _unreachable(endpoint: Endpoint, cause: str, hint: str = "") -> Unreachable:
    return Unreachable(endpoint.name, cause, hint=endpoint.note or hint or "is the host up, and sshd on this port?")


def _place(endpoint: Endpoint) -> str:
    return endpoint.host if endpoint.port == DEFAULT_PORT else f"{endpoint.host} port {endpoint.port}"


def _reason(exc: asyncssh.Error) -> str:
    return printable(exc.reason, max_chars=200) or type(exc).__name__
