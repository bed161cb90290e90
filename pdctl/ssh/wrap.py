"""What is sent to a node instead of the bare command, and how its output is told from the login shell's.

sshd hands a command to the user's login shell, which may print (motd, bashrc) before it runs anything, on both
outputs. So the wrapped command first prints a marker with a nonce; all before the marker is noise. And SSH cannot
stop a remote process (neither cancelling, nor closing, nor SSH signals do: measured with asyncssh 2.24 and OpenSSH
9.2), so short commands carry their own deadline in `timeout -k`, and long ones a watcher of stdin.

The wrappers are POSIX sh with coreutils' or busybox' `timeout`. Login shells other than sh's family are not supported.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pdctl.errors import UsageError
from pdctl.ssh.quoting import quote

KILL_AFTER_S = 5
"""SIGTERM to SIGKILL on the far side."""

MAX_COMMAND_BYTES = (128 << 10) - 1
"""Linux takes no longer single argument (MAX_ARG_STRLEN), and the command is one argument of the login shell."""

_NOISE_BYTES = 4096
_FOREVER_S = 365 * 86400  # a number rather than 0 or "infinity", which busybox takes differently

# The watcher: `cat` returns when our side of stdin is gone, whatever way. `timeout` heads the command's process group
# and passes SIGTERM on to it, with SIGKILL behind; it has to be a simple command, or bash's $! is a subshell that does
# not. The watcher's own output goes nowhere, or it would hold the channel.
_WATCHED = (
    "exec 3<&0; timeout -k {kill} {forever} {command} 3<&- </dev/null & p=$!; "
    "{{ cat <&3; kill -TERM $p; }} >/dev/null 2>&1 & w=$!; "
    "exec 3<&-; wait $p; s=$?; kill $w; exit $s"
)


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A command line for the login shell, and the marker line that both outputs start with."""

    command: str
    marker: bytes


def short(argv: Sequence[str], *, deadline_s: float, nonce: str) -> Wrapped:
    """Run `argv` for at most `deadline_s` (rounded up to whole seconds, as busybox takes no others)."""
    deadline = max(1, math.ceil(deadline_s))
    return _wrapped(f"exec timeout -k {KILL_AFTER_S} {deadline} {quote(argv)}", nonce)


def streamed(argv: Sequence[str], *, nonce: str) -> Wrapped:
    """Run `argv`, which reads stdin and ends with it."""
    return _wrapped(f"exec {quote(argv)}", nonce)


def watched(argv: Sequence[str], *, nonce: str) -> Wrapped:
    """Run `argv` without stdin and stop it when ours is closed."""
    return _wrapped(watching(argv), nonce)


def watching(argv: Sequence[str]) -> str:
    """The watcher of `argv` as a line for sh, where it has to run on the far side of something else (sudo)."""
    return _WATCHED.format(kill=KILL_AFTER_S, forever=_FOREVER_S, command=quote(argv))


def _wrapped(command: str, nonce: str) -> Wrapped:
    marker = f"pdctl-{nonce}"
    line = f"echo {marker};echo {marker} >&2;{command}"
    if len(line.encode()) > MAX_COMMAND_BYTES:
        raise UsageError(
            f"a command line of {len(line.encode())} bytes is longer than a node takes ({MAX_COMMAND_BYTES})",
            hint="send the data on the command's stdin",
        )
    return Wrapped(line, marker.encode() + b"\n")


class Deframer:
    """Takes one output in pieces; keeps what comes after the marker up to a cap, and the end of what came before.

    `started` tells whether the marker was seen, `truncated` whether bytes after the marker were dropped.
    """

    __slots__ = ("_marker", "_max_bytes", "body", "noise", "started", "truncated")

    def __init__(self, marker: bytes, max_bytes: int) -> None:
        self._marker = marker
        self._max_bytes = max_bytes
        self.body = bytearray()
        self.noise = bytearray()
        self.started = False
        self.truncated = False

    def feed(self, data: bytes) -> None:
        if not self.started:
            self.noise += data
            at = self.noise.find(self._marker)
            if at < 0:
                del self.noise[: -max(_NOISE_BYTES, len(self._marker))]
                return
            self.started = True
            data = bytes(self.noise[at + len(self._marker) :])
            del self.noise[at:]
        room = self._max_bytes - len(self.body)
        if len(data) > room:
            self.truncated = True
            data = data[:room]
        self.body += data
