"""A scripted `Shell` for the tests of upper floors: rules answer commands, and everything asked is kept.

    shell = FakeShell("n1")
    shell.answer(["systemctl", "show"], stdout=b"...")         # any argv that begins like this
    shell.answer(["true"], error=Unreachable("n1", "refused"))
    shell.answer(lambda command: b"epoch" in command.stdin, reply=lambda command: Completed(0, b"{}", b""))

The rule added last wins; a command that no rule answers fails with status 127, as on a node.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pdctl.errors import UsageError
from pdctl.ssh.ports import ByteReader, ByteWriter, Completed


@dataclass(frozen=True, slots=True)
class Command:
    """One command that was asked for. `deadline_s` is None for a stream."""

    argv: tuple[str, ...]
    stdin: bytes = b""
    deadline_s: float | None = None


Reply = Callable[[Command], Completed]


@dataclass(slots=True)
class FakeStream:
    """A stream that gives the answer's stdout line by line, then its status."""

    completed: Completed
    sent: list[bytes] = field(default_factory=list)
    reads_stdin: bool = False

    async def lines(self) -> AsyncIterator[bytes]:
        for line in self.completed.stdout.splitlines():
            yield line

    async def send(self, data: bytes) -> None:
        if not self.reads_stdin:
            raise UsageError("this stream's stdin is watched, not read", hint="open it with watch_stdin=False")
        self.sent.append(data)

    async def wait(self) -> int:
        return self.completed.status

    @property
    def stderr(self) -> bytes:
        return self.completed.stderr


class FakeShell:
    """`commands` are the commands asked for, in order; `streams` the streams that were opened."""

    def __init__(self, node: str = "node") -> None:
        self._node = node
        self._rules: list[tuple[Callable[[Command], bool], Reply]] = []
        self._doors: dict[tuple[str, int], Callable[[], tuple[ByteReader, ByteWriter]]] = {}
        self.commands: list[Command] = []
        self.streams: list[FakeStream] = []

    @property
    def node(self) -> str:
        return self._node

    def answer(
        self,
        when: Sequence[str] | Callable[[Command], bool],
        *,
        stdout: bytes = b"",
        stderr: bytes = b"",
        status: int = 0,
        error: Exception | None = None,
        reply: Reply | None = None,
    ) -> None:
        """Answer commands whose argv begins with `when`, or for which it says so, by `reply`, `error` or output."""
        if callable(when):
            matches = when
        else:
            prefix = tuple(when)

            def matches(command: Command) -> bool:
                return command.argv[: len(prefix)] == prefix

        def scripted(command: Command) -> Completed:
            if error is not None:
                raise error
            return Completed(status, stdout, stderr)

        self._rules.append((matches, reply or scripted))

    def listen(self, host: str, port: int, accept: Callable[[], tuple[ByteReader, ByteWriter]]) -> None:
        """Let `connect` reach (host, port)."""
        self._doors[host, port] = accept

    async def run(
        self, argv: Sequence[str], *, deadline_s: float, stdin: bytes = b"", max_bytes: int = 1 << 20
    ) -> Completed:
        """See `Shell`."""
        return self._reply(Command(tuple(argv), stdin, deadline_s))

    @contextlib.asynccontextmanager
    async def stream(self, argv: Sequence[str], *, watch_stdin: bool = True) -> AsyncIterator[FakeStream]:
        """See `Shell`."""
        stream = FakeStream(self._reply(Command(tuple(argv))), reads_stdin=not watch_stdin)
        self.streams.append(stream)
        yield stream

    async def connect(self, host: str, port: int) -> tuple[ByteReader, ByteWriter]:
        """See `Shell`: refused where nothing listens."""
        if (host, port) not in self._doors:
            raise ConnectionRefusedError(f"{self._node} cannot connect to {host}:{port}")
        return self._doors[host, port]()

    def _reply(self, command: Command) -> Completed:
        self.commands.append(command)
        for matches, reply in reversed(self._rules):
            if matches(command):
                return reply(command)
        return Completed(127, b"", f"{command.argv[0]}: not found".encode())


class FakeShells:
    """`Shells` made of fakes; `closed` tells whether they were closed."""

    def __init__(self, shells: Mapping[str, FakeShell]) -> None:
        self._shells = shells
        self.closed = False

    def shell(self, node: str) -> FakeShell:
        """See `Shells`."""
        return self._shells[node]

    async def close(self) -> None:
        """See `Shells`."""
        self.closed = True
