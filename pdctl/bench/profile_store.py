"""Profiles that the operator made, in their data directory: one JSON file each, `<name>.json`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pdctl.bench.runs.atomic import write_whole
from pdctl.errors import BenchError, UsageError
from pdctl.perf.builtin_profiles import BUILTIN
from pdctl.perf.profile import Profile

SCHEMA: Final = 1
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")


class _File(BaseModel):
    """What such a file holds. An error bar of a constant that the runs do not tell is infinite: "Infinity"."""

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="strings", frozen=True)

    version: Literal[1] = SCHEMA
    profile: Profile


def profiles_directory(environment: Mapping[str, str] | None = None) -> Path:
    """`$XDG_DATA_HOME/pdctl/profiles`; a relative path there is ignored, as the XDG specification wants."""
    base = (os.environ if environment is None else environment).get("XDG_DATA_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".local" / "share") / "pdctl" / "profiles"


def save_profile(profile: Profile, directory: Path | None = None) -> Path:
    """Write it, over an older one of its name. Raises UsageError for a name that is not one, or a built-in one's."""
    if not _NAME.fullmatch(profile.name):
        raise UsageError(f"{profile.name!r} is no name for a profile", hint="a-z, 0-9, dots and dashes")
    if profile.name in BUILTIN:
        raise UsageError(f"{profile.name} comes with pdctl", hint="choose another --save name")
    place = directory or profiles_directory()
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BenchError(f"{place} cannot be made: {error.strerror or error}") from error
    path = place / f"{profile.name}.json"
    plain = replace(profile, factors=dict(profile.factors), limits=dict(profile.limits))
    write_whole(path, _File(profile=plain).model_dump_json(indent=1) + "\n")
    return path


def stored_profiles(directory: Path | None = None) -> tuple[Profile, ...]:
    """All of them, by name. Raises BenchError for a file that is no profile."""
    place = directory or profiles_directory()
    return tuple(read_profile(path) for path in sorted(place.glob("*.json"))) if place.is_dir() else ()


def read_profile(path: Path) -> Profile:
    """Raises BenchError where there is none, or something else."""
    try:
        return _File.model_validate_json(path.read_bytes()).profile
    except OSError as error:
        raise BenchError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise BenchError(
            f"{path} is no profile: {where}: {first['msg']}", hint="`pdctl advise fit RUN... --save` writes one"
        ) from error
