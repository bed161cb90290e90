"""Opens one SSH connection, checks the host's key, logs in by public key, and says in one line why it could not.

Nothing is left to asyncssh's defaults that concerns trust: no ssh_config, our own known_hosts, no agent, no password,
no forwarding of agent or X11. Key exchange is left to its defaults (post-quantum where both can); AES-GCM comes first
as it costs the least CPU per login (measured with asyncssh 2.24).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Sequence

import asyncssh

from pdctl.ssh import refusals
from pdctl.ssh.endpoint import Endpoint
from pdctl.ssh.hostkeys import KnownHosts, Pinned, pin, public_line
from pdctl.ssh.keys import Keys

HOST_KEY_ALGORITHMS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
"""Host key types in our order of preference; SHA-1 signatures are not accepted."""

CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes256-ctr",
    "aes192-ctr",
    "aes128-ctr",
)

_RESET_ATTEMPTS = 6  # 0.1 s, doubling: about 3 s of a server that sheds logins (sshd's MaxStartups)
_FIRST_PAUSE_S = 0.1


class DialLimit:
    """How many logins may be under way at once: in all, and through each jump host.

    sshd's default MaxStartups drops logins from the tenth on (10:30:100), and a jump host sees all of ours: measured,
    120 at once lost half. Waiters start with jitter, so that a full house does not arrive in step.
    """

    def __init__(
        self, total: int = 50, *, per_jump: int = 8, jitter_s: float = 0.05, rng: random.Random | None = None
    ) -> None:
        self._total = asyncio.Semaphore(total)
        self._per_jump = per_jump
        self._jumps: dict[Endpoint, asyncio.Semaphore] = {}
        self._jitter_s = jitter_s
        self._rng = rng or random.Random()

    def jittered(self, pause_s: float) -> float:
        """Half to all of `pause_s`."""
        return pause_s * self._rng.uniform(0.5, 1.0)

    @contextlib.asynccontextmanager
    async def slot(self, jump: Endpoint | None) -> AsyncIterator[None]:
        """Hold the right to one login through `jump` (None: straight)."""
        async with contextlib.AsyncExitStack() as held:
            waited = False
            if jump is not None:
                gate = self._jumps.setdefault(jump, asyncio.Semaphore(self._per_jump))
                waited = gate.locked()
                await held.enter_async_context(gate)
            waited = waited or self._total.locked()
            await held.enter_async_context(self._total)
            if waited:
                await asyncio.sleep(self._rng.uniform(0, self._jitter_s))
            yield


class Greeter(asyncssh.SSHClient):
    """Follows one login: how far it came, and which host key was offered when none of the pinned ones was."""

    def __init__(self, endpoint: Endpoint, pinned: Pinned, *, accept_new: bool) -> None:
        self._endpoint = endpoint
        self._pinned = pinned
        self._accept_new = accept_new
        self.reached = False
        self.login_begun = False
        self.offered: asyncssh.SSHKey | None = None

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self.reached = True

    def begin_auth(self, username: str) -> None:
        self.login_begun = True

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self.offered = key
        if self._pinned.known or not self._accept_new:
            return False
        pin(self._endpoint.known_hosts, self._endpoint.alias, self._endpoint.port, public_line(key))
        return True

    def validate_host_ca_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self.offered = key
        return False


async def dial(
    endpoint: Endpoint,
    known: KnownHosts,
    keys: Keys,
    *,
    limit: DialLimit,
    tunnel: asyncssh.SSHClientConnection | None = None,
) -> asyncssh.SSHClientConnection:
    """Log in to `endpoint`, through `tunnel` where given, within its `connect_timeout_s`.

    A connection that is reset before the login began is retried (the server sheds load); a refused login or host key
    never is. Raises Unreachable, HostKeyUnknown, HostKeyChanged, AuthRefused, each naming `endpoint`.
    """
    if not keys.offers:
        raise refusals.no_keys(endpoint, keys)
    pinned = known.lookup(endpoint.alias, endpoint.port)
    greeter = Greeter(endpoint, pinned, accept_new=endpoint.accept_new)
    try:
        async with asyncio.timeout(endpoint.connect_timeout_s):
            return await _attempts(endpoint, greeter, pinned, keys, limit, tunnel)
    except TimeoutError:
        raise refusals.timed_out(endpoint, reached=greeter.reached) from None
    except asyncssh.HostKeyNotVerifiable as exc:
        raise refusals.host_key(endpoint, greeter.offered, pinned, str(exc)) from None
    except asyncssh.PermissionDenied:
        raise refusals.login(endpoint, keys) from None
    except (asyncssh.Error, OSError, ValueError) as exc:  # ValueError: a key or certificate that asyncssh cannot use
        raise refusals.connection(endpoint, exc) from None


async def fetch_host_key(
    endpoint: Endpoint, *, limit: DialLimit, tunnel: asyncssh.SSHClientConnection | None = None
) -> asyncssh.SSHKey:
    """The host key that `endpoint` offers now, without trusting it and without logging in. Raises Unreachable."""
    nothing = Pinned()
    greeter = Greeter(endpoint, nothing, accept_new=False)
    try:
        async with asyncio.timeout(endpoint.connect_timeout_s):
            # The key is never accepted, so there is no login that any client key could be used for.
            connection = await _attempts(endpoint, greeter, nothing, Keys((), ()), limit, tunnel)
            connection.abort()
    except TimeoutError:
        raise refusals.timed_out(endpoint, reached=greeter.reached) from None
    except asyncssh.HostKeyNotVerifiable as exc:
        if greeter.offered is None:
            raise refusals.connection(endpoint, exc) from None
    except (asyncssh.Error, OSError) as exc:
        raise refusals.connection(endpoint, exc) from None
    if greeter.offered is None:
        raise refusals.connection(endpoint, OSError("offers no host key"))
    return greeter.offered


async def _attempts(
    endpoint: Endpoint,
    greeter: Greeter,
    pinned: Pinned,
    keys: Keys,
    limit: DialLimit,
    tunnel: asyncssh.SSHClientConnection | None,
) -> asyncssh.SSHClientConnection:
    pause_s = _FIRST_PAUSE_S
    for attempt in range(1, _RESET_ATTEMPTS + 1):
        try:
            return await _connect(endpoint, greeter, pinned, keys, tunnel)
        except (ConnectionResetError, BrokenPipeError, asyncssh.ConnectionLost):
            tunnel_gone = tunnel is not None and tunnel.is_closed()
            if greeter.login_begun or tunnel_gone or attempt == _RESET_ATTEMPTS:
                raise
        await asyncio.sleep(limit.jittered(pause_s))
        pause_s *= 2
    raise AssertionError("the last attempt returns or raises")


async def _connect(
    endpoint: Endpoint,
    greeter: Greeter,
    pinned: Pinned,
    keys: Keys,
    tunnel: asyncssh.SSHClientConnection | None,
) -> asyncssh.SSHClientConnection:
    trusted = _trusted(pinned)
    return await asyncssh.connect(
        endpoint.host,
        endpoint.port,
        tunnel=tunnel,
        config=None,
        client_factory=lambda: greeter,
        known_hosts=lambda host, addr, port: trusted,
        server_host_key_algs=_host_key_algorithms(pinned),
        x509_trusted_certs=None,
        username=endpoint.user,
        client_keys=list(keys.offers) or None,
        agent_path=None,
        agent_forwarding=False,
        x11_forwarding=False,
        pkcs11_provider=None,
        gss_host=None,
        preferred_auth="publickey",
        public_key_auth=True,
        password_auth=False,
        kbdint_auth=False,
        host_based_auth=False,
        encryption_algs=CIPHERS,
        connect_timeout=None,
        login_timeout=endpoint.connect_timeout_s,
        # asyncssh 2.24 gives up one interval after the last of them: with this, after keepalive_s * count in all.
        keepalive_interval=endpoint.keepalive_s * endpoint.keepalive_count / (endpoint.keepalive_count + 1),
        keepalive_count_max=endpoint.keepalive_count,
        encoding=None,
    )


def _trusted(pinned: Pinned) -> tuple[Sequence[asyncssh.SSHKey], ...]:
    """(host keys, CA keys, revoked keys), as asyncssh wants them. A key of a type it cannot read trusts nothing."""
    result = []
    for entries in (pinned.keys, pinned.authorities, pinned.revoked):
        keys = []
        for entry in entries:
            with contextlib.suppress(asyncssh.KeyImportError):
                keys.append(asyncssh.import_public_key(entry.key))
        result.append(keys)
    return tuple(result)


def _host_key_algorithms(pinned: Pinned) -> list[str]:
    """Certificates first where an authority is pinned, then the pinned types, then the rest: a host that has changed
    to another type is then seen to have changed, instead of failing in key exchange."""
    types = {entry.key.split()[0] for entry in pinned.keys}
    ours = [name for name in HOST_KEY_ALGORITHMS if name in types or (name.startswith("rsa") and "ssh-rsa" in types)]
    plain = ours + [name for name in HOST_KEY_ALGORITHMS if name not in ours]
    certified = [f"{name}-cert-v01@openssh.com" for name in HOST_KEY_ALGORITHMS] if pinned.authorities else []
    return certified + plain
