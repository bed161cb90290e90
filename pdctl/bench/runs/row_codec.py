"""A row as one line of `rows.jsonl`: JSON with the fields of Row, gaps as whole microseconds, empty fields left out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any

from pdctl.bench.row import Row
from pdctl.model.outcome import Outcome

_US = 1_000_000
_TIMES = ("at_s", "sent_s", "ttft_s", "e2el_s", "first_byte_s")
_DEFAULTS = {item.name: item.default for item in fields(Row) if item.default is not MISSING}
_NAMES = tuple(item.name for item in fields(Row) if item.name != "gaps_s")


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row, and in which stretch of its point it was measured (0 unless the point was cut and went on)."""

    row: Row
    stretch: int = 0


def encode(row: Row, stretch: int = 0) -> bytes:
    """One line with its newline. Integers are several times as quick to write as floats, and a long answer has
    thousands of gaps: this runs beside the clocks of other requests."""
    said: dict[str, Any] = {}
    for name in _NAMES:
        value = getattr(row, name)
        if name in _DEFAULTS and value == _DEFAULTS[name]:
            continue
        said[name] = round(value, 6) if name in _TIMES and value is not None else value
    said["gaps_us"] = [round(gap_s * _US) for gap_s in row.gaps_s]
    if stretch:
        said["stretch"] = stretch
    return json.dumps(said, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> StoredRow:
    """Raises ValueError for what is no row. Fields that a newer pdctl added are passed over."""
    said = json.loads(line)
    if not isinstance(said, Mapping):
        raise ValueError("a row is a JSON object")
    known = {name: said[name] for name in _NAMES if name in said}
    try:
        known["outcome"] = Outcome(said["outcome"])
        row = Row(**known, gaps_s=tuple(gap / _US for gap in said["gaps_us"]))
        return StoredRow(row, int(said.get("stretch", 0)))
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a row: {error}") from error


def shifted(row: Row, by_s: float) -> Row:
    """The row on a time base that began `by_s` seconds earlier."""
    return replace(row, at_s=row.at_s + by_s, sent_s=row.sent_s + by_s) if by_s else row
