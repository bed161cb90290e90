"""What upper floors ask of SSH: one `Shell` per node.

`ssh.pool` is the real one, `ssh.local` runs commands on this machine, `ssh.fake` answers from a script.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Completed:
    """A finished remote command. Output is capped (`truncated`) and raw: show it through `ssh.text.printable`.

    `noise` is what the login shell printed before the command started (motd, a chatty bashrc); it is no output of the
    command, but worth a word to the operator.
    """

    status: int
    stdout: bytes
    stderr: bytes
    truncated: bool = False
    noise: bytes = b""


class ByteReader(Protocol):
    """The reading half of a tunnelled connection; asyncio.StreamReader and asyncssh.SSHReader both are one."""

    async def read(self, n: int = -1, /) -> bytes:
        """Up to `n` bytes, at least one; b"" at the end. Without `n`: all there is until the end."""
        ...

    async def readexactly(self, n: int, /) -> bytes:
        """Exactly `n` bytes. Raises asyncio.IncompleteReadError at an early end."""
        ...

    def at_eof(self) -> bool:
        """Whether the end has come and everything before it was read."""
        ...


class ByteWriter(Protocol):
    """The writing half of a tunnelled connection; asyncio.StreamWriter and asyncssh.SSHWriter both are one."""

    def write(self, data: bytes, /) -> None: ...

    async def drain(self) -> None:
        """Wait until more may be written."""
        ...

    def write_eof(self) -> None: ...

    def close(self) -> None: ...

    def is_closing(self) -> bool: ...

    async def wait_closed(self) -> None: ...


class Stream(Protocol):
    """A running remote command. Closing its context ends our side; the far side ends with its stdin."""

    def lines(self) -> AsyncIterator[bytes]:
        """Lines of stdout without the newline, until the command ends. Over-long lines are cut into 64 KiB pieces.

        Raises ConnectionLost if the connection went before the command's exit status came.
        """
        ...

    async def send(self, data: bytes) -> None:
        """Write to the command's stdin. Raises ConnectionLost where nobody can read it any more, and UsageError on a
        stream whose stdin is watched."""
        ...

    async def wait(self) -> int:
        """The exit status. Raises ConnectionLost where there is none: lost is never success."""
        ...

    @property
    def stderr(self) -> bytes:
        """The last 4 KiB that the command wrote to stderr, so far."""
        ...


class Shell(Protocol):
    """One node, over one held connection. Every call has a deadline here, and `timeout -k` on the far side."""

    @property
    def node(self) -> str:
        """The node's inventory name."""
        ...

    async def run(
        self, argv: Sequence[str], *, deadline_s: float, stdin: bytes = b"", max_bytes: int = 1 << 20
    ) -> Completed:
        """Run `argv` to its end; a status other than 0 is returned, not raised (128 + n: killed by signal n).

        `max_bytes` caps stdout and stderr each. Raises Unreachable (and its kinds), ConnectionLost, DeadlineExceeded;
        UsageError for an argv that no command line can carry; CommandFailed where the node runs no commands at all.
        """
        ...

    def stream(self, argv: Sequence[str], *, watch_stdin: bool = True) -> AbstractAsyncContextManager[Stream]:
        """Start `argv` and talk to it while it runs (followed logs, the lease). No deadline: the caller bounds it.

        SSH cannot stop a remote process, so something there has to notice that we are gone. With `watch_stdin` a
        watcher on the node does: it stops the command (SIGTERM, SIGKILL 5 s later) when the stream or the connection
        is closed; the command's own stdin is /dev/null. Pass False for a command that reads stdin itself (`send`) and
        ends with it.
        """
        ...

    async def connect(self, host: str, port: int) -> tuple[ByteReader, ByteWriter]:
        """A TCP connection from the node to (host, port), tunnelled.

        Raises OSError where the far side refuses; Unreachable (and its kinds), ConnectionLost for the node itself.
        """
        ...


class Shells(Protocol):
    """The shells of a deployment's nodes, each dialled at first use and held."""

    def shell(self, node: str) -> Shell:
        """The node's shell; does not dial yet. Raises KeyError for a name that is no node."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...
