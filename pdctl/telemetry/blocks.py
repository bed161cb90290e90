"""Many snapshots in few bytes: what does not change is kept once, and what does lies side by side. Pure.

Neighbouring snapshots differ in a few hundred numbers. A block turns a list of documents into one document of columns,
which then compresses some fifty times better than the documents one by one. Numbers keep four significant digits,
ages a tenth of a second.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Sequence
from typing import Any, Final

DIGITS: Final = 4
AGE_DECIMALS: Final = 1
_FILTERS: Final = [{"id": lzma.FILTER_LZMA2, "preset": 4}]


def pack(documents: Sequence[Any]) -> bytes:
    """JSON-able documents as one compressed block."""
    text = json.dumps(_columns([_rounded(document) for document in documents]), separators=(",", ":"))
    return lzma.compress(text.encode(), format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC32, filters=_FILTERS)


def unpack(block: bytes, count: int) -> list[Any]:
    """The documents of a block of `count`. Raises ValueError where it is damaged."""
    try:
        return _rows(json.loads(lzma.decompress(block)), count)
    except (lzma.LZMAError, LookupError, TypeError) as error:
        raise ValueError("a block of the recording is damaged") from error


def _columns(values: list[Any]) -> list[Any]:
    """What stands at one place of all documents: ["=", value] where it never changes, else by what it is."""
    first = values[0]
    if all(value == first and type(value) is type(first) for value in values):
        return ["=", first]
    if isinstance(first, dict) and all(isinstance(value, dict) and value.keys() == first.keys() for value in values):
        return ["{", {key: _columns([value[key] for value in values]) for key in first}]
    if isinstance(first, list) and all(isinstance(value, list) and len(value) == len(first) for value in values):
        return ["[", [_columns([value[place] for value in values]) for place in range(len(first))]]
    shapes: dict[object, list[int]] = {}
    for row, value in enumerate(values):
        shapes.setdefault(_shape(value), []).append(row)
    if len(shapes) == 1:
        return ["#", values]
    parts = [[rows, _columns([values[row] for row in rows])] for rows in shapes.values()]
    return ["|", parts]


def _rows(column: list[Any], count: int) -> list[Any]:
    kind, body = column
    if kind == "=":
        return [body] * count
    if kind == "#":
        return list(body)
    if kind == "{":
        columns = {key: _rows(part, count) for key, part in body.items()}
        return [{key: rows[row] for key, rows in columns.items()} for row in range(count)]
    if kind == "[":
        places = [_rows(part, count) for part in body]
        return [[rows[row] for rows in places] for row in range(count)]
    found: list[Any] = [None] * count
    for rows, part in body:
        for row, value in zip(rows, _rows(part, len(rows)), strict=True):
            found[row] = value
    return found


def _shape(value: Any) -> object:
    """What values must have in common to lie in one column: a figure and an unknown have different keys."""
    if isinstance(value, dict):
        return tuple(value)
    if isinstance(value, list):
        return len(value)
    return "value"


def _rounded(value: Any, key: str = "") -> Any:
    if isinstance(value, float):
        if key in _EXACT:
            return value
        return round(value, AGE_DECIMALS) if key.endswith("age_s") else float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(part, key) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(part) for part in value]
    return value


_EXACT: Final = frozenset({"taken_s", "since_s"})
"""Wall-clock times have ten digits before the point."""
