"""What upper floors ask of SSH: one `Shell` per node. `ssh.pool` is the real one, `ssh.local` runs commands here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Completed:
    """A finished remote command. Output is capped (`truncated`) and raw: decode it with `errors="replace"`."""

    status: int
    stdout: bytes
    stderr: bytes
    truncated: bool = False


class Stream(Protocol):
    """A running remote command. Closing its context ends our side; the far side ends with its stdin."""

    def lines(self) -> AsyncIterator[bytes]:
        """Lines of stdout without the newline, until the command ends. Over-long lines are cut at 64 KiB.

        Raises ConnectionLost if the connection went before the command's exit status came.
        """
        ...

    async def send(self, data: bytes) -> None:
        """Write to the command's stdin."""
        ...

    async def wait(self) -> int:
        """The exit status. Raises ConnectionLost where there is none: lost is never success."""
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
        """Run `argv` to its end; a status other than 0 is returned, not raised.

        Raises Unreachable (and its kinds), ConnectionLost, DeadlineExceeded.
        """
        ...

    def stream(self, argv: Sequence[str]) -> AbstractAsyncContextManager[Stream]:
        """Start `argv` and talk to it while it runs (followed logs, the lease). No deadline: the caller bounds it."""
        ...

    async def connect(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A TCP connection from the node to (host, port), tunnelled. Raises OSError where the far side refuses."""
        ...


class Shells(Protocol):
    """The shells of a deployment's nodes, each dialled at first use and held."""

    def shell(self, node: str) -> Shell:
        """The node's shell; does not dial yet."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...
