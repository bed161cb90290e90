"""A `Shell` on this machine without SSH: for tests, and for a node that is the controller itself, only if asked for.

Commands go through the same wrappers as on a node (`ssh.wrap`, run by /bin/sh), so that they behave alike.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import AsyncIterator, Sequence

from pdctl.errors import ConnectionLost, DeadlineExceeded, UsageError
from pdctl.ssh import wrap
from pdctl.ssh.ports import ByteReader, ByteWriter, Completed
from pdctl.ssh.text import printable

_MAX_LINE_BYTES = 64 << 10
_STDERR_TAIL_BYTES = 4096
_CLOSE_S = wrap.KILL_AFTER_S + 2.0  # the watcher needs KILL_AFTER_S for a command that ignores SIGTERM


class LocalShell:
    """Runs commands here, each in a session of its own. Output is capped as over SSH."""

    def __init__(self, node: str = "localhost") -> None:
        self._node = node

    @property
    def node(self) -> str:
        return self._node

    async def run(
        self, argv: Sequence[str], *, deadline_s: float, stdin: bytes = b"", max_bytes: int = 1 << 20
    ) -> Completed:
        """See `Shell`. What is left of the command's group at the deadline is killed."""
        wrapped = wrap.short(argv, deadline_s=deadline_s, nonce=secrets.token_hex(8))
        process = await _start(wrapped.command)
        stdout, stderr = wrap.Deframer(wrapped.marker, max_bytes), wrap.Deframer(wrapped.marker, max_bytes)
        try:
            async with asyncio.timeout(deadline_s):
                await asyncio.gather(
                    _feed(process, stdin), _drain(process.stdout, stdout), _drain(process.stderr, stderr)
                )
                status = await process.wait()
        except TimeoutError:
            raise DeadlineExceeded(
                self._node, f"{printable(argv[0], max_chars=60)} took longer than {deadline_s:g} s"
            ) from None
        finally:
            await _kill(process)
        return Completed(
            status=status if status >= 0 else 128 - status,
            stdout=bytes(stdout.body),
            stderr=bytes(stderr.body),
            truncated=stdout.truncated or stderr.truncated,
        )

    @contextlib.asynccontextmanager
    async def stream(self, argv: Sequence[str], *, watch_stdin: bool = True) -> AsyncIterator[LocalStream]:
        """See `Shell`."""
        build = wrap.watched if watch_stdin else wrap.streamed
        wrapped = build(argv, nonce=secrets.token_hex(8))
        process = await _start(wrapped.command)
        stream = LocalStream(self._node, process, wrapped, reads_stdin=not watch_stdin)
        try:
            yield stream
        finally:
            await stream.close()

    async def connect(self, host: str, port: int) -> tuple[ByteReader, ByteWriter]:
        """See `Shell`."""
        return await asyncio.open_connection(host, port)


class LocalStream:
    """A `Stream` over a local process."""

    def __init__(
        self, node: str, process: asyncio.subprocess.Process, wrapped: wrap.Wrapped, *, reads_stdin: bool
    ) -> None:
        self._node = node
        self._process = process
        self._marker = wrapped.marker
        self._reads_stdin = reads_stdin
        self._stderr = bytearray()
        self._draining = asyncio.create_task(self._drain_stderr())

    async def lines(self) -> AsyncIterator[bytes]:
        assert self._process.stdout is not None
        stdout = wrap.Deframer(self._marker, 1 << 62)
        while data := await self._process.stdout.read(_MAX_LINE_BYTES):
            stdout.feed(data)
            *whole, rest = bytes(stdout.body).split(b"\n")
            while len(rest) >= _MAX_LINE_BYTES:
                whole.append(rest[:_MAX_LINE_BYTES])
                rest = rest[_MAX_LINE_BYTES:]
            stdout.body[:] = rest
            for line in whole:
                for start in range(0, max(1, len(line)), _MAX_LINE_BYTES):
                    yield line[start : start + _MAX_LINE_BYTES]
        if stdout.body:
            yield bytes(stdout.body)

    async def send(self, data: bytes) -> None:
        if not self._reads_stdin:
            raise UsageError("this stream's stdin is watched, not read", hint="open it with watch_stdin=False")
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
            await self._process.stdin.drain()
        except OSError as exc:
            raise ConnectionLost(self._node, f"the command no longer takes input ({exc})") from None

    async def wait(self) -> int:
        status = await self._process.wait()
        await self._draining
        return status if status >= 0 else 128 - status

    @property
    def stderr(self) -> bytes:
        _, marker, own = bytes(self._stderr).rpartition(self._marker)
        return own if marker else bytes(self._stderr)

    async def close(self) -> None:
        """End stdin, give the command the time that its watcher needs, then kill its group."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        reading = asyncio.create_task(_discard(self._process.stdout))  # or a full pipe would keep it from ending
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), _CLOSE_S)
        await _kill(self._process)
        for task in (reading, self._draining):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _drain_stderr(self) -> None:
        assert self._process.stderr is not None
        while data := await self._process.stderr.read(_MAX_LINE_BYTES):
            self._stderr += data
            del self._stderr[:-_STDERR_TAIL_BYTES]


async def _start(command: str) -> asyncio.subprocess.Process:
    """Started whole, even if it is cancelled meanwhile: then it is killed.

    Cancelled before its pipes are connected, asyncio's own start waits for ever (CPython 3.11 base_subprocess.py).
    """
    pipe = asyncio.subprocess.PIPE
    starting = asyncio.create_task(
        asyncio.create_subprocess_exec(
            "/bin/sh", "-c", command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await _kill(await starting)
        raise


async def _feed(process: asyncio.subprocess.Process, stdin: bytes) -> None:
    assert process.stdin is not None
    with contextlib.suppress(OSError):  # a command may end without reading all of its input
        process.stdin.write(stdin)
        await process.stdin.drain()
    process.stdin.close()


async def _drain(reader: asyncio.StreamReader | None, into: wrap.Deframer) -> None:
    assert reader is not None
    while data := await reader.read(_MAX_LINE_BYTES):
        into.feed(data)


async def _discard(reader: asyncio.StreamReader | None) -> None:
    while reader is not None and await reader.read(_MAX_LINE_BYTES):
        pass


async def _kill(process: asyncio.subprocess.Process) -> None:
    """SIGKILL to the group that `timeout` heads (it is the process that we started, by exec)."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
