"""A `Shell` whose commands run as root: through `sudo -n` unless the login is root already.

Neither a password nor a terminal is ever waited for: sudo refuses at once, and that becomes one error with the line
that sudoers lacks. What runs as root cannot be signalled by the login, so the deadline (`timeout -k`) and the watcher
of a stream run as root too.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from pdctl.errors import CommandFailed, DeadlineExceeded
from pdctl.ssh import wrap
from pdctl.ssh.ports import ByteReader, ByteWriter, Completed, Shell, Stream
from pdctl.ssh.text import last_line, printable

_AS_ROOT = 'if [ "$(id -u)" = 0 ]; then exec "$@"; fi; exec sudo -n -- "$@"'
_TIMED_OUT = (124, 137, 143)  # GNU `timeout`: 124, or 137 where SIGKILL was needed; busybox: 143
_INNER_MARGIN_S = 1.0  # the deadline on root's side comes first, so that what is killed is the command and not sudo

_REFUSALS: tuple[tuple[str, str], ...] = (
    ("a password is required", "sudo wants a password"),
    ("a terminal is required", "sudo wants a password"),
    ("you must have a tty", "sudo wants a terminal (requiretty)"),
    ("is not in the sudoers file", "the login is not in sudoers"),
    ("is not allowed to execute", "sudo does not let the login run this"),
    ("may not run sudo", "sudo does not let the login run anything"),
    ("sudo: not found", "sudo is not installed, and the login is not root"),
)
"""What sudo says where it refuses (sudo 1.9, LANG=C), and what it means."""


class SudoShell:
    """`shell`, as root. Forwarded connections stay the login's own."""

    def __init__(self, shell: Shell, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._shell = shell
        self._clock = clock

    @property
    def node(self) -> str:
        return self._shell.node

    async def run(
        self, argv: Sequence[str], *, deadline_s: float, stdin: bytes = b"", max_bytes: int = 1 << 20
    ) -> Completed:
        """See `Shell`. Raises CommandFailed, with the remedy, where sudo refuses."""
        seconds = max(1, math.ceil(deadline_s))
        bounded = ["timeout", "-k", str(wrap.KILL_AFTER_S), str(seconds), *argv]
        started = self._clock()
        done = await self._shell.run(
            as_root(bounded), deadline_s=seconds + _INNER_MARGIN_S, stdin=stdin, max_bytes=max_bytes
        )
        if done.status in _TIMED_OUT and self._clock() - started >= deadline_s:
            raise DeadlineExceeded(self.node, f"{printable(argv[0], max_chars=60)} took longer than {deadline_s:g} s")
        if done.status and (cause := sudo_refusal(done.stderr)):
            raise await self._refused(cause, done)
        return done

    async def _refused(self, cause: str, done: Completed) -> CommandFailed:
        login = last_line((await self._shell.run(["id", "-un"], deadline_s=10.0)).stdout)
        hint = f"on the node, `visudo -f /etc/sudoers.d/pdctl`: {sudoers_line(login, cause)}"
        return CommandFailed(self.node, cause, status=done.status, stderr=last_line(done.stderr), hint=hint)

    def stream(self, argv: Sequence[str], *, watch_stdin: bool = True) -> AbstractAsyncContextManager[Stream]:
        """See `Shell`. Where sudo refuses, the stream ends at once, with its status and what it says on stderr."""
        return self._stream(argv, watch_stdin)

    @asynccontextmanager
    async def _stream(self, argv: Sequence[str], watch_stdin: bool) -> AsyncIterator[Stream]:
        inner = ["sh", "-c", wrap.watching(argv)] if watch_stdin else list(argv)
        async with self._shell.stream(as_root(inner), watch_stdin=False) as stream:
            yield stream

    async def connect(self, host: str, port: int) -> tuple[ByteReader, ByteWriter]:
        """See `Shell`."""
        return await self._shell.connect(host, port)


def as_root(argv: Sequence[str]) -> list[str]:
    """`argv`, run as it is where the login is root, through `sudo -n` else."""
    return ["env", "LC_ALL=C", "sh", "-c", _AS_ROOT, "sh", *argv]


def sudo_refusal(stderr: bytes) -> str | None:
    """Why sudo refused; None where `stderr` does not end in a refusal of its."""
    said = last_line(stderr)
    return next((cause for sign, cause in _REFUSALS if sign in said), None)


def sudoers_line(login: str, cause: str) -> str:
    """What sudoers lacks. ALL is no more than what running Python as root, which pdctl does, amounts to."""
    return f"Defaults:{login} !requiretty" if "requiretty" in cause else f"{login} ALL=(root) NOPASSWD: ALL"
