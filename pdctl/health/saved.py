"""Envelopes on disk: one JSON file a node, raw, with what of ours ran there. Written by --save, read by --replay.

Files of many directories may be put into one: nodes are told apart by what the file says, and of one node's several
envelopes the newest is taken.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from pdctl.health.envelope import Envelope


@dataclass(frozen=True, slots=True)
class Saved:
    """One node's envelope. `serving`: GPUs that units of ours held then, None where that was not known; `units`:
    their names."""

    envelope: Envelope
    serving: frozenset[int] | None = None
    units: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Archive:
    """What a directory holds: by node, and the files that could not be read, with why."""

    nodes: Mapping[str, Saved] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)


def save(directory: Path, saved: Saved) -> Path:
    """Write the node's file. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    body = saved.envelope.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    body["schema"] = saved.envelope.schema_version
    if saved.serving is not None:
        body["pdctl"] = {"serving": sorted(saved.serving), "units": list(saved.units)}
    path = directory / f"{saved.envelope.node}.json"
    path.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    return path


def read_archive(directory: Path) -> Archive:
    """Every envelope below `directory`. A file that holds none is named, and stops nothing. Raises OSError."""
    nodes: dict[str, Saved] = {}
    unreadable: dict[str, str] = {}
    for path in sorted(directory.rglob("*.json")):
        try:
            saved = parse_saved(path.read_bytes())
        except (ValueError, ValidationError) as error:
            unreadable[str(path)] = str(error).splitlines()[0]
            continue
        name = saved.envelope.node or path.stem
        older = nodes.get(name)
        if older is None or older.envelope.wall_s <= saved.envelope.wall_s:
            nodes[name] = saved
    return Archive(nodes, unreadable)


def parse_saved(content: bytes) -> Saved:
    """One file's content. Raises ValueError (also pydantic's) where it is no envelope."""
    body = json.loads(content)
    if not isinstance(body, dict) or "items" not in body:
        raise ValueError("it holds no envelope")
    seen = body.pop("pdctl", None)
    envelope = Envelope.model_validate(body)
    if not isinstance(seen, dict):
        return Saved(envelope)
    serving = frozenset(gpu for gpu in seen.get("serving", ()) if isinstance(gpu, int))
    return Saved(envelope, serving, tuple(str(name) for name in seen.get("units", ())))
