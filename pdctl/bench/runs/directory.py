"""The directory of a run: everything that was measured, each figure beside the rows that it comes from."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pdctl.bench.runs.atomic import unwritable, write_whole
from pdctl.bench.runs.definition import Definition, differences
from pdctl.bench.runs.meta import RunMeta, read_meta, to_json
from pdctl.bench.runs.point_files import PointFiles
from pdctl.errors import BenchError, UsageError

_DIFFERENCES_NAMED = 6


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """A run that can be written to. Make one with `open_run`."""

    path: Path
    meta: RunMeta

    def point(self, point_id: str) -> PointFiles:
        """The files of that point; nothing is written yet."""
        return PointFiles(self.path / "points" / point_id)

    def write(self, name: str, text: str) -> None:
        """A file of the whole run, such as `figures.csv`. Raises BenchError."""
        write_whole(self.path / name, text)


def holds_run(path: Path) -> bool:
    """Whether a run was begun there."""
    return (path / "run.json").exists()


@contextmanager
def open_run(path: Path, meta: RunMeta) -> Iterator[RunDirectory]:
    """The run at `path`, begun with `meta` or gone on with; nobody else writes there while the context lasts.

    Raises BenchError: another process has it, it cannot be written, or it holds something else than a run;
    UsageError where it holds a run of something else (`Definition`), with the differences.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not holds_run(path) and any(each.name != ".lock" for each in path.iterdir()):
            raise BenchError(f"{path} holds other files and no run", hint="choose a new directory with --out")
        lock = (path / ".lock").open("w")
    except OSError as error:
        raise unwritable(path, error) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BenchError(f"{path} is being written by another process", hint="wait for it to end") from None
        if holds_run(path):
            found = read_meta(path)
            refuse_other(path, found.definition, meta.definition)
            yield RunDirectory(path, found)
        else:
            write_whole(path / "run.json", to_json(meta))
            yield RunDirectory(path, meta)


def refuse_other(path: Path, old: Definition, new: Definition) -> None:
    """Raises UsageError, with what differs, unless both define the same run."""
    found = differences(old, new)
    if not found:
        return
    named = "; ".join(found[:_DIFFERENCES_NAMED])
    more = f"; and {len(found) - _DIFFERENCES_NAMED} more" if len(found) > _DIFFERENCES_NAMED else ""
    hint = "go on with the same options (`--resume` alone says them again), or measure into another --out"
    raise UsageError(f"{path} is another run: {named}{more}", hint=hint)
