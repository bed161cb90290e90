"""The two kinds of session on a connection: one whose output is gathered, and one that is talked to while it runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncssh

from pdctl.errors import CommandFailed, ConnectionLost, UsageError
from pdctl.ssh.text import last_line
from pdctl.ssh.wrap import Deframer, Wrapped

MAX_LINE_BYTES = 64 << 10
_STDERR_TAIL_BYTES = 4096
_READ_BYTES = 64 << 10

# Signal numbers of Linux, for a command that was killed: shells say 128 + n.
_SIGNALS = {"HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "ABRT": 6, "FPE": 8, "KILL": 9, "USR1": 10, "SEGV": 11, "USR2": 12}
_SIGNALS |= {"PIPE": 13, "ALRM": 14, "TERM": 15}


class Gathering(asyncssh.SSHClientSession[bytes]):
    """Gathers both outputs, each capped; `closed` is done when the channel is. `status` None by then means lost."""

    def __init__(self, wrapped: Wrapped, max_bytes: int) -> None:
        self.stdout = Deframer(wrapped.marker, max_bytes)
        self.stderr = Deframer(wrapped.marker, max_bytes)
        self.status: int | None = None
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None

    def abandon(self) -> None:
        """Close the channel where it is still open; SSH has no way to stop what runs there."""
        if self._channel is not None and not self.closed.done():
            self._channel.abort()

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self._channel = chan

    def data_received(self, data: bytes, datatype: int | None) -> None:
        (self.stdout if datatype is None else self.stderr).feed(data)

    def exit_status_received(self, status: int) -> None:
        self.status = status

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        self.status = 128 + _SIGNALS.get(signal, 0)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)


class SshStream:
    """A `Stream` over an asyncssh process; use `start` before anything else."""

    def __init__(
        self, node: str, process: asyncssh.SSHClientProcess[bytes], wrapped: Wrapped, *, reads_stdin: bool
    ) -> None:
        self._node = node
        self._process = process
        self._reads_stdin = reads_stdin
        self._marker = wrapped.marker
        self._first = b""
        self._stderr = bytearray()
        # Unread stderr would fill the channel's window and stop stdout.
        self._draining = asyncio.create_task(self._drain_stderr())

    async def start(self) -> None:
        """Wait until the login shell is done with its noise and our command begins.

        Raises ConnectionLost, or CommandFailed where the shell ended without running it.
        """
        stdout = Deframer(self._marker, 2 * _READ_BYTES)
        while not stdout.started:
            data = await self._read()
            if not data:
                status = await self.wait()
                raise ran_nothing(self._node, status, bytes(stdout.noise + self._stderr))
            stdout.feed(data)
        self._first = bytes(stdout.body)

    async def lines(self) -> AsyncIterator[bytes]:
        """See `Stream`; one consumer only."""
        pending = b""
        while data := await self._next():
            *whole, pending = (pending + data).split(b"\n")
            for line in whole:
                for piece in _pieces(line):
                    yield piece
            while len(pending) >= MAX_LINE_BYTES:
                yield pending[:MAX_LINE_BYTES]
                pending = pending[MAX_LINE_BYTES:]
        if pending:
            yield pending
        await self.wait()

    async def send(self, data: bytes) -> None:
        if not self._reads_stdin:
            raise UsageError("this stream's stdin is watched, not read", hint="open it with watch_stdin=False")
        try:
            self._process.stdin.write(data)
            await self._process.stdin.drain()
        except (OSError, asyncssh.Error) as exc:
            raise ConnectionLost(self._node, f"the command no longer takes input ({exc})") from None

    async def wait(self) -> int:
        # Not wait(): that would gather all of stdout.
        await self._process.wait_closed()
        if self._process.exit_signal is not None:
            return 128 + _SIGNALS.get(self._process.exit_signal[0], 0)
        status = self._process.exit_status
        if status is None:
            raise ConnectionLost(
                self._node, "the connection was lost while a command ran", hint="how it ended is unknown: look again"
            )
        await self._draining
        return status

    @property
    def stderr(self) -> bytes:
        _, marker, own = bytes(self._stderr).rpartition(self._marker)
        return own if marker else bytes(self._stderr)

    async def close(self) -> None:
        """Close our side: stdin ends over there, and what is still written is not read any more."""
        with contextlib.suppress(OSError, asyncssh.Error):
            self._process.stdin.write_eof()
        self._process.close()
        self._draining.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._draining

    async def _next(self) -> bytes:
        """The next bytes after the marker; b"" at the end."""
        data, self._first = self._first, b""
        return data or await self._read()

    async def _read(self) -> bytes:
        try:
            return await self._process.stdout.read(_READ_BYTES)
        except (OSError, asyncssh.Error):
            return b""  # lost; `wait` says so

    async def _drain_stderr(self) -> None:
        with contextlib.suppress(OSError, asyncssh.Error):
            while data := await self._process.stderr.read(_READ_BYTES):
                self._stderr += data
                del self._stderr[:-_STDERR_TAIL_BYTES]


def ran_nothing(node: str, status: int, output: bytes) -> CommandFailed:
    """The error for a session that ended before our command began: nologin, a forced command, a broken profile."""
    said = last_line(output)
    return CommandFailed(
        node,
        "the login shell did not run our command" + (f": {said}" if said else f" (status {status})"),
        status=status,
        stderr=said,
        hint="pdctl needs an account with a POSIX login shell and no forced command",
    )


def _pieces(line: bytes) -> list[bytes]:
    if len(line) <= MAX_LINE_BYTES:
        return [line]
    return [line[start : start + MAX_LINE_BYTES] for start in range(0, len(line), MAX_LINE_BYTES)]
