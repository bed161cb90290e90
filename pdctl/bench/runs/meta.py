"""`run.json`: what was measured, by which pdctl, from where. Written once, before the first request."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from pdctl import __version__
from pdctl.bench.runs.definition import Definition
from pdctl.errors import BenchError

SCHEMA = 1
"""Of the whole directory. A newer one is refused, never guessed at."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Host:
    """Where the load came from: the client's own speed is part of what it measures."""

    name: str
    system: str
    python: str
    cpus: int


@dataclass(frozen=True, slots=True)
class RunMeta:
    """`started`: ISO 8601, UTC. `arguments`: the command line behind `pdctl bench run`, typed in `directory`, so that
    --resume can say it again. `inventory`, `inventory_digest`: "" for a server that no inventory describes. `commit`:
    of a checkout; "" elsewhere."""

    run: str
    started: str
    definition: Definition
    cluster: str = ""
    arguments: tuple[str, ...] = ()
    directory: str = ""
    inventory: str = ""
    inventory_digest: str = ""
    pdctl: str = __version__
    commit: str = ""
    host: Host = field(default_factory=lambda: this_host())
    schema: int = SCHEMA


def this_host() -> Host:
    """This machine and this Python."""
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    return Host(platform.node(), system, ".".join(map(str, sys.version_info[:3])), os.cpu_count() or 1)


def commit_of(root: Path) -> str:
    """The commit that is checked out at `root`, without asking git; "" where there is none to see."""
    try:
        head = (root / ".git" / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head
        name = head.removeprefix("ref: ")
        loose = root / ".git" / name
        if loose.exists():
            return loose.read_text().strip()
        packed = (root / ".git" / "packed-refs").read_text().splitlines()
        return next((line.split()[0] for line in packed if line.endswith(f" {name}")), "")
    except OSError:
        return ""


def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    # mypy takes the `__hash__` of a class for the one of its instances.
    return _built_adapter(cast(Hashable, kind))


@cache
def _built_adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def to_json(value: object) -> str:
    """A dataclass as one indented JSON document."""
    return _adapter(type(value)).dump_json(value, indent=1).decode() + "\n"


def from_json(kind: type[_T], path: Path) -> _T:
    """The dataclass that lies at `path`. Raises BenchError where it is not there, or no such thing."""
    try:
        found: _T = _adapter(kind).validate_json(path.read_bytes())
    except OSError as error:
        raise BenchError(
            f"{path} cannot be read: {error.strerror or error}", hint="is it a run's directory?"
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise BenchError(
            f"{path}: {where}: {first['msg']}", hint="the file was changed after it was written"
        ) from error
    return found


def read_meta(directory: Path) -> RunMeta:
    """The run's `run.json`. Raises BenchError: also for a directory that a newer pdctl wrote."""
    path = directory / "run.json"
    schema = from_json(_Schema, path).schema
    if schema > SCHEMA:
        raise BenchError(f"{path} has schema {schema}; this pdctl reads up to {SCHEMA}", hint="use a newer pdctl")
    return from_json(RunMeta, path)


@dataclass(frozen=True, slots=True)
class _Schema:
    schema: int


def meta_of(definition: Definition, *, run: str, started: str, arguments: Sequence[str] = (), **said: Any) -> RunMeta:
    """The meta of a run that begins now, with this pdctl's version and commit."""
    root = Path(__file__).parents[3]
    return RunMeta(run, started, definition, arguments=tuple(arguments), commit=commit_of(root), **said)
