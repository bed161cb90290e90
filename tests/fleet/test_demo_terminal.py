"""`pdctl demo` as a person has it: in a terminal, with keys; and nothing is left of it when they leave, however."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.fleet.command import PDCTL
from tests.waiting import patient

pytestmark = [pytest.mark.fleet, pytest.mark.slow]

UP_S = 60.0
_ESCAPES = re.compile(rb"\x1b\[[0-9;?<>=]*[a-zA-Z]|\x1b[()][A-Z0-9]|\x1b[=>]|\x1bP[^\x1b]*\x1b\\|\x1b\][^\x07]*\x07")


@dataclass
class Terminal:
    """A pseudo-terminal of 80x24 with a command in it. `text` is all that was ever written, without its escapes."""

    process: subprocess.Popen[bytes]
    master: int
    raw: bytearray = field(default_factory=bytearray)

    @property
    def text(self) -> str:
        return _ESCAPES.sub(b"", bytes(self.raw)).decode(errors="replace")

    def read(self, seconds: float) -> bool:
        """Whether anything came. An end of the other side is nothing more."""
        ready, _, _ = select.select([self.master], [], [], seconds)
        if not ready:
            return False
        try:
            self.raw += os.read(self.master, 65536)
        except OSError:
            return False
        return True

    def until(self, what: str, seconds: float) -> None:
        """What is written from now on has `what` in it."""
        deadline = time.monotonic() + seconds
        while what not in self.text:
            assert time.monotonic() < deadline, f"no {what!r} in\n{self.text[-3000:]}"
            assert self.read(0.2) or self.process.poll() is None, f"it ended before {what!r}\n{self.text[-3000:]}"
        del self.raw[:]

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def end(self, seconds: float) -> int:
        """Its exit code."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it does not end\n{self.text[-3000:]}"
            self.read(0.1)
        while self.read(0.0):
            pass
        return self.process.returncode


@contextmanager
def terminal(home: Path, *argv: str) -> Iterator[Terminal]:
    """`pdctl` with these arguments in a terminal, and a home directory of its own."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {**os.environ, "HOME": str(home), "TERM": "xterm-256color", "LANG": "C.UTF-8", "NO_COLOR": "1"}
    process = subprocess.Popen(
        [PDCTL, *argv], stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
    )
    os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(master)


def test_the_demo_is_live_shows_its_nodes_and_leaves_nothing_when_quit(tmp_path: Path) -> None:
    with terminal(tmp_path, "demo", "--layout", "1P1D", "--concurrency", "4") as screen:
        screen.until("starting", patient(10.0))
        screen.until("live", patient(UP_S))
        screen.press("2")
        screen.until("ready", patient(10.0))
        screen.press("q")
        assert screen.end(patient(20.0)) == 0
        assert "0 failed; everything is taken down" in screen.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_demo_whose_terminal_is_killed_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    with terminal(tmp_path, "demo", "--layout", "1P1D", "--concurrency", "4") as screen:
        screen.until("up: ", patient(UP_S))
        screen.process.send_signal(number)
        assert screen.end(patient(30.0)) != 0
