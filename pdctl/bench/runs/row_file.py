"""`rows.jsonl`: appended line by line, each given to the system at once, so that a killed run loses what it had not
measured and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from pdctl.bench.row import Row
from pdctl.bench.runs.atomic import unwritable
from pdctl.bench.runs.row_codec import StoredRow, decode, encode
from pdctl.errors import BenchError


class RowFile:
    """Open for appending while its context lasts. `broken`: a row could not be written."""

    def __init__(self, path: Path, *, stretch: int = 0) -> None:
        self._path = path
        self._stretch = stretch
        self.broken = False

    def __enter__(self) -> Self:
        """Raises BenchError."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("ab", buffering=0)
        except OSError as error:
            raise unwritable(self._path, error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def append(self, row: Row) -> None:
        """Raises BenchError where the disk is full; the line may then be torn, and `mend` drops it."""
        line = encode(row, self._stretch)
        try:
            while line:
                line = line[self._file.write(line) :]
        except OSError as error:
            self.broken = True
            raise unwritable(self._path, error) from error


def mend(path: Path) -> bool:
    """Cut off a last line that has no end: its writer was killed, or the disk was full. Whether there was one."""
    if not path.exists():
        return False
    with path.open("r+b") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole == len(content):
            return False
        file.truncate(whole)
    return True


def read_rows(path: Path) -> Iterator[StoredRow]:
    """Every whole row, one at a time; none where there is no file. Raises BenchError for a line that is no row."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    except OSError as error:
        raise BenchError(f"{path} cannot be read: {error.strerror or error}") from error
    with file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return  # torn, or being written just now
            try:
                yield decode(line)
            except ValueError as error:
                raise BenchError(
                    f"{path}:{number}: {error}", hint="the file was changed after it was written"
                ) from error


def digest(path: Path) -> str:
    """The sha256 of the file; of nothing where there is none."""
    if not path.exists():
        return hashlib.sha256().hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
