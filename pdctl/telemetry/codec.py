"""Snapshots as JSON and back, without loss. In strict JSON, infinity (a histogram's last bucket) is a string."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pdctl.model.snapshot import SCHEMA, Snapshot


@cache
def _adapter() -> TypeAdapter[Snapshot]:
    return TypeAdapter(Snapshot)


def to_plain(snapshot: Snapshot) -> dict[str, Any]:
    """For `--json`: plain data of strict JSON, with the schema's number."""
    plain: dict[str, Any] = json.loads(to_json(snapshot), parse_constant=str)
    return {"snapshot_schema": SCHEMA, **plain}


def to_json(snapshot: Snapshot) -> bytes:
    """One JSON document on one line, with Infinity as Python and JavaScript engines write it."""
    # Not dump_json: what it does with infinity is set per class, and would be null here.
    return json.dumps(_adapter().dump_python(snapshot), separators=(",", ":")).encode()


def from_json(text: bytes | str) -> Snapshot:
    """What `to_json` wrote. Raises ValueError for anything else."""
    try:
        return _adapter().validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"this is no snapshot: {where}: {first['msg']}") from error
