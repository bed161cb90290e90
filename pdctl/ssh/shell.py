"""One node's shell over its link: commands with a deadline, streams, tunnels."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from importlib import resources
from typing import TypeVar

import asyncssh

from pdctl.errors import CommandFailed, ConnectionLost, DeadlineExceeded, Unreachable
from pdctl.ssh import wrap
from pdctl.ssh.link import Link
from pdctl.ssh.ports import ByteReader, ByteWriter, Completed
from pdctl.ssh.session import Gathering, SshStream, ran_nothing
from pdctl.ssh.text import printable

T = TypeVar("T")

MAX_SESSIONS = 8
"""Session channels of ours per connection; sshd's MaxSessions is 10 by default, and other tools share it."""

MAX_STREAMS = 6
"""How many of them long-lived streams may take, so that commands always find room."""

START_S = 30.0
"""Longest time from opening a session to our command's start: the login shell's profile runs in it."""

WINDOW_BYTES = 256 << 10
"""Receive window of a gathered command. All that arrives is taken at once, so it bounds what is in flight, no more."""

_CONNECTION_CLOSED = "SSH connection closed"  # asyncssh's reason where the connection went before the channel was open
_FIRST_PAUSE_S = 0.05
_MAX_PAUSE_S = 0.25
_NOT_FOUND = 127
_TIMED_OUT = (124, 137, 143)  # GNU: 124, or 137 where SIGKILL was needed; busybox: 143


class SshShell:
    """A `Shell` over SSH. The connection is the link's: dialled at first use, held, dialled again after a loss."""

    def __init__(
        self, node: str, link: Link, *, clock: Callable[[], float] = time.monotonic, rng: random.Random | None = None
    ) -> None:
        self._node = node
        self._link = link
        self._clock = clock
        self._rng = rng or random.Random()
        self._sessions = asyncio.Semaphore(MAX_SESSIONS)
        self._streams = asyncio.Semaphore(MAX_STREAMS)
        self._forwarding_forbidden = False
        self._releasing: set[asyncio.Task[None]] = set()

    @property
    def node(self) -> str:
        return self._node

    async def run(
        self, argv: Sequence[str], *, deadline_s: float, stdin: bytes = b"", max_bytes: int = 1 << 20
    ) -> Completed:
        """See `Shell`. A node that cannot be reached before the deadline is Unreachable, not DeadlineExceeded."""
        wrapped = wrap.short(argv, deadline_s=deadline_s, nonce=secrets.token_hex(8))
        started = self._clock()
        reached = False
        gathering = Gathering(wrapped, max_bytes)
        try:
            async with asyncio.timeout(deadline_s):
                await self._link.connection()
                reached = True
                async with self._sessions:
                    await self._gather(gathering, wrapped.command, stdin)
        except TimeoutError:
            raise (self._too_slow(argv, deadline_s) if reached else self._not_reached(deadline_s)) from None
        finally:
            gathering.abandon()
        if gathering.status is None:
            raise self._lost()
        if gathering.status in _TIMED_OUT and self._clock() - started >= deadline_s:
            raise self._too_slow(argv, deadline_s)
        return self._completed(gathering, gathering.status)

    @contextlib.asynccontextmanager
    async def stream(self, argv: Sequence[str], *, watch_stdin: bool = True) -> AsyncIterator[SshStream]:
        """See `Shell`. At most `MAX_STREAMS` at once; one more waits up to `START_S`, then is DeadlineExceeded."""
        build = wrap.watched if watch_stdin else wrap.streamed
        wrapped = build(argv, nonce=secrets.token_hex(8))
        async with contextlib.AsyncExitStack() as held:
            try:
                async with asyncio.timeout(START_S):
                    await held.enter_async_context(self._streams)
                    await held.enter_async_context(self._sessions)
                    process = await self._open(lambda connection: _process(connection, wrapped.command))
                    stream = SshStream(self._node, process, wrapped, reads_stdin=not watch_stdin)
                    held.push_async_callback(stream.close)
                    await stream.start()
            except TimeoutError:
                raise self._too_slow(argv, START_S) from None
            yield stream

    async def connect(self, host: str, port: int) -> tuple[ByteReader, ByteWriter]:
        """See `Shell`: direct-tcpip, or a relay program on the node where sshd forbids that."""
        try:
            async with asyncio.timeout(START_S):
                if not self._forwarding_forbidden:
                    try:
                        return await self._open(
                            lambda connection: connection.open_connection(host, port), busy=_out_of_channels
                        )
                    except asyncssh.ChannelOpenError as exc:
                        if exc.code != asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
                            raise self._refused(host, port, exc.reason) from None
                        self._forwarding_forbidden = True
                return await self._relay(host, port)
        except TimeoutError:
            raise TimeoutError(f"{self._node}: no connection to {host}:{port} in {START_S:g} s") from None

    async def _gather(self, gathering: Gathering, command: str, stdin: bytes) -> None:
        channel, _ = await self._open(
            lambda connection: connection.create_session(
                lambda: gathering, command, encoding=None, request_pty=False, window=WINDOW_BYTES
            )
        )
        with contextlib.suppress(OSError):  # a command may end without reading all of its input
            if stdin:
                channel.write(stdin)
            channel.write_eof()
        await gathering.closed

    async def _relay(self, host: str, port: int) -> tuple[ByteReader, ByteWriter]:
        source = resources.files("pdctl.ssh").joinpath("relay_on_node.py").read_text()
        wrapped = wrap.streamed(["python3", "-IS", "-c", source, host, str(port)], nonce=secrets.token_hex(8))
        async with contextlib.AsyncExitStack() as held:
            await held.enter_async_context(self._streams)
            await held.enter_async_context(self._sessions)
            process = await self._open(
                lambda connection: _process(connection, wrapped.command, stderr=asyncssh.DEVNULL)
            )
            held.callback(process.close)
            try:
                await process.stdout.readuntil(wrapped.marker)
                answer = (await process.stdout.readline()).decode(errors="replace").strip()
            except (asyncio.IncompleteReadError, asyncssh.Error):
                raise self._lost() from None
            if answer != "ok":
                raise self._refused(host, port, answer or "sshd forbids forwarding, and there is no python3 to relay")
            # The session's place is free again when the channel is closed, by whomever.
            releasing = asyncio.create_task(_release(process, held.pop_all()))
            self._releasing.add(releasing)
            releasing.add_done_callback(self._releasing.discard)
            return process.stdout, process.stdin

    async def _open(
        self,
        opener: Callable[[asyncssh.SSHClientConnection], Awaitable[T]],
        *,
        busy: Callable[[asyncssh.ChannelOpenError], bool] = lambda exc: True,
    ) -> T:
        """Open a channel; wait and retry while the server is `busy` (MaxSessions), for the caller's deadline.

        A connection that was lost before the channel was open is dialled again, once: nothing has run yet.
        """
        pause_s = _FIRST_PAUSE_S
        redialled = False
        while True:
            connection = await self._link.connection()
            try:
                return await opener(connection)
            except asyncssh.ChannelOpenError as exc:
                if exc.code == asyncssh.OPEN_REQUEST_SESSION_FAILED:
                    # The command was sent: with the connection gone it may have run, else it was refused.
                    raise self._lost() if connection.is_closed() else ran_nothing(self._node, 1, b"") from None
                if exc.reason == _CONNECTION_CLOSED:
                    if redialled:
                        raise self._lost() from None
                    redialled = True
                    await connection.wait_closed()
                    continue
                if not busy(exc):
                    raise
            except asyncssh.Error:
                raise self._lost() from None
            await asyncio.sleep(pause_s * self._rng.uniform(0.5, 1.0))
            pause_s = min(_MAX_PAUSE_S, 2 * pause_s)

    def _completed(self, gathering: Gathering, status: int) -> Completed:
        stdout, stderr = gathering.stdout, gathering.stderr
        if not stdout.started:
            raise ran_nothing(self._node, status, bytes(stdout.noise + stderr.noise))
        if status == _NOT_FOUND and b"exec: timeout" in stderr.body:
            raise CommandFailed(
                self._node, "there is no `timeout` command", status=status, hint="install coreutils (or busybox) there"
            )
        return Completed(
            status=status,
            stdout=bytes(stdout.body),
            stderr=bytes(stderr.body if stderr.started else stderr.noise),
            truncated=stdout.truncated or stderr.truncated,
            noise=bytes(stdout.noise + stderr.noise if stderr.started else stdout.noise),
        )

    def _lost(self) -> ConnectionLost:
        return ConnectionLost(
            self._node, "the connection was lost while a command ran", hint="how it ended is unknown: look again"
        )

    def _not_reached(self, deadline_s: float) -> Unreachable:
        return Unreachable(self._node, f"not connected within {deadline_s:g} s", hint="is the host up and reachable?")

    def _too_slow(self, argv: Sequence[str], deadline_s: float) -> DeadlineExceeded:
        return DeadlineExceeded(
            self._node,
            f"{printable(argv[0], max_chars=60)} took longer than {deadline_s:g} s",
            hint="the node is overloaded, or a file system or driver there hangs",
        )

    def _refused(self, host: str, port: int, reason: str) -> ConnectionRefusedError:
        return ConnectionRefusedError(
            f"{self._node} cannot connect to {host}:{port}: {printable(reason, max_chars=200)}"
        )


async def _process(
    connection: asyncssh.SSHClientConnection, command: str, *, stderr: int = asyncssh.PIPE
) -> asyncssh.SSHClientProcess[bytes]:
    return await connection.create_process(
        command, encoding=None, request_pty=False, stdin=asyncssh.PIPE, stdout=asyncssh.PIPE, stderr=stderr
    )


async def _release(process: asyncssh.SSHClientProcess[bytes], held: contextlib.AsyncExitStack) -> None:
    async with held:
        await process.wait_closed()


def _out_of_channels(exc: asyncssh.ChannelOpenError) -> bool:
    return exc.code == asyncssh.OPEN_RESOURCE_SHORTAGE
