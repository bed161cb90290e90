"""Files that are there whole or not at all, and what is said where they cannot be written."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from pdctl.errors import BenchError


def write_whole(path: Path, text: str) -> None:
    """Replace the file at `path`; a reader, or the next run after a crash, sees the old one or the new one.

    Raises BenchError.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(aside).chmod(0o644)
            Path(aside).replace(path)
        except BaseException:
            Path(aside).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> BenchError:
    """What the operator is told."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    hint = (
        "make room and go on with --resume: what was written is kept"
        if full
        else "choose another place with --out, or let this user write there"
    )
    return BenchError(f"{path} cannot be written: {error.strerror or error}", hint=hint)
