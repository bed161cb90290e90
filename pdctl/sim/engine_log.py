"""Log lines as vLLM prints them: `(EngineCore pid=7002) INFO 11-22 04:29:28 [core.py:1454] message`."""

from __future__ import annotations

import os
import sys
import time
from typing import TextIO


class EngineLog:
    """Writes lines of one component ("APIServer", "EngineCore", "Worker") to standard output, as vLLM does."""

    def __init__(self, component: str = "APIServer", stream: TextIO | None = None) -> None:
        self._prefix = f"({component} pid={os.getpid()})"
        self._stream = stream if stream is not None else sys.stdout

    def info(self, where: str, message: str) -> None:
        self._write("INFO", where, message)

    def warning(self, where: str, message: str) -> None:
        self._write("WARNING", where, message)

    def error(self, where: str, message: str) -> None:
        self._write("ERROR", where, message)

    def traceback(self, where: str, cause: str, frames: tuple[str, ...] = ()) -> None:
        """A Python traceback in vLLM's form: every line carries the prefix. `frames` are "file:line function"."""
        self.error(where, "Traceback (most recent call last):")
        for frame in frames:
            place, _, function = frame.partition(" ")
            file, _, line = place.rpartition(":")
            self.error(where, f'  File "{file}", line {line}, in {function}')
        self.error(where, cause)

    def _write(self, level: str, where: str, message: str) -> None:
        stamp = time.strftime("%m-%d %H:%M:%S")
        try:
            self._stream.write(f"{self._prefix} {level} {stamp} [{where}] {message}\n")
            self._stream.flush()
        except (OSError, ValueError):  # the reader of our log has gone; serving goes on
            return
