"""The record of a playbook's run: one small file in the user's state directory, replaced whole before and after every
step, so that a run whose controller died is known and can be gone on with, or taken back.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

import platformdirs
from pydantic import TypeAdapter, ValidationError

from pdctl.errors import LeaseHeld, PdctlError, UsageError
from pdctl.plan.playbook import Progress

SCHEMA: Final = 1
KEPT: Final = 100
"""Records of runs that are over; one takes a few kilobytes."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run. `playbook` and `inventory` are absolute paths; `digest` is that of the playbook's file, `vars` what was
    given with --set, `items` what loops go through. `outcome`: running, done, failed, stopped or undone."""

    run: str
    name: str
    playbook: str
    digest: str
    inventory: str
    cluster: str
    operator: str
    began_s: float
    updated_s: float
    vars: Mapping[str, str] = field(default_factory=dict)
    items: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    outcome: str = "running"
    progress: Progress = field(default_factory=Progress)
    schema: int = SCHEMA


@cache
def _adapter() -> TypeAdapter[RunRecord]:
    return TypeAdapter(RunRecord)


@dataclass(frozen=True, slots=True)
class RunStore:
    """All runs of this user, a file each."""

    root: Path

    @classmethod
    def of_user(cls) -> RunStore:
        return cls(Path(platformdirs.user_state_dir("pdctl")) / "runs")

    def write(self, record: RunRecord) -> None:
        """Replace the run's file in one step. Raises PdctlError where that cannot be: nothing may be started then."""
        content = _adapter().dump_json(record, indent=1)
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, name = tempfile.mkstemp(dir=self.root, prefix=f".{record.run}.")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                Path(name).replace(self._path(record.run))
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            cause = error.strerror or type(error).__name__
            raise PdctlError(
                f"the record of the run cannot be written: {cause}", hint=f"make room or see to {self.root}"
            ) from None

    def read(self, run: str) -> RunRecord:
        """The run's record. Raises UsageError where there is none, or it cannot be read."""
        path = self._path(run)
        try:
            found = _adapter().validate_json(path.read_bytes())
        except FileNotFoundError:
            raise UsageError(f"there is no run {run!r} on this machine", hint="`pdctl run --list` shows them") from None
        except (OSError, ValidationError) as error:
            first = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error.strerror
            raise UsageError(f"the record of run {run} cannot be read: {first}", hint=f"look at {path}") from None
        if found.schema != SCHEMA:
            raise UsageError(f"run {run} was recorded by another version of pdctl", hint=f"look at {path}")
        return found

    def all(self) -> tuple[RunRecord, ...]:
        """Every run that can be read, the newest first."""
        found = []
        for path in self.root.glob("*.json") if self.root.is_dir() else ():
            with contextlib.suppress(UsageError):
                found.append(self.read(path.stem))
        return tuple(sorted(found, key=lambda record: record.began_s, reverse=True))

    def forget_old(self) -> None:
        """Of runs that are over, only the newest are kept."""
        over = [record for record in self.all() if record.outcome in ("done", "undone")]
        for record in over[KEPT:]:
            self._path(record.run).unlink(missing_ok=True)
            (self.root / f"{_safe(record.run)}.lock").unlink(missing_ok=True)

    @contextmanager
    def held(self, run: str) -> Iterator[None]:
        """Nobody else goes on with the run while the context lasts. Raises LeaseHeld where somebody does."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.root / f"{_safe(run)}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise LeaseHeld(f"run {run} is under way in another process", hint="wait for it to end") from None
            yield

    def _path(self, run: str) -> Path:
        return self.root / f"{_safe(run)}.json"


def _safe(run: str) -> str:
    """The run's name as a file's. Raises UsageError for what is no name of a run."""
    if not run.isalnum() or not run.isascii() or len(run) > 64:
        raise UsageError(f"{run!r} is no run", hint="`pdctl run --list` shows them")
    return run
