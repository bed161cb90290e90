"""JSON out of a tool's stdout as it comes: after a banner, several documents in a row, cut off, or not there at all.

What real tools were seen to print around their JSON: "WARNING: User is missing the following required groups" before
it (amd-smi of ROCm 6.4 and 7.0), one document per GPU and a "Legend:" after them (`amd-smi partition --json`),
"Dumping CPER file header entries for GPU 0:" (`amd-smi ras`), "WARNING: No JSON data to report" with exit status 0
(rocm-smi), control characters in strings, trailing commas, NaN.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"

MAX_DEPTH = 64  # deeper nesting is no tool's output, and would exhaust the decoder's stack
_START = re.compile(r'(?=[\[{][\[{\s]*(?:["\]}]|\Z|-?\d+(?:\.\d+)?\s*[,\]}]|null|true|false|NaN))')
_TRAILING_COMMA = re.compile(r",(?=\s*[\]}])")
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\\n]|\\.)*"|[\[{\]}]')
_CLOSING = {"[": "]", "{": "}"}
_DECODER = json.JSONDecoder(strict=False, parse_constant=lambda name: name)  # NaN stays a word: it is no number


@dataclass(frozen=True, slots=True)
class Documents:
    """The complete documents of one output, in order; `damaged`: one more starts and never ends, or cannot be read.

    `other` is the text around them, where tools say what is wrong with them.
    """

    values: tuple[Json, ...]
    other: str
    damaged: bool = False

    @property
    def why_empty(self) -> str:
        """For an Unknown's reason: why there is no document here."""
        if self.damaged:
            return "its JSON is cut off or damaged"
        said = next((line.strip() for line in self.other.splitlines() if line.strip()), "")
        return f"it printed no JSON but {said[:160]!r}" if said else "it printed nothing"


def documents(text: str) -> Documents:
    """Every complete JSON object and array that stands in a text. Never raises. A lone number is no document."""
    values: list[Json] = []
    other: list[str] = []
    damaged = False
    position = 0
    while start := _START.search(text, position):
        other.append(text[position : start.start()])
        value, end = _decode(text, start.start())
        if end is None:
            return Documents(tuple(values), "".join(other), damaged=True)
        if value is None:
            damaged = True
        else:
            values.append(value)
        position = end
    other.append(text[position:])
    return Documents(tuple(values), "".join(other), damaged)


def records(text: str, *wrappers: str) -> tuple[tuple[Mapping[str, Json], ...], Documents]:
    """The objects of all documents as one list, from `[{…}, {…}]`, `{wrapper: [{…}]}`, `{…}` and any mix of them.

    Args:
        wrappers: keys whose value is the list that is meant ("gpu_data" of amd-smi since ROCm 7).
    """
    found = documents(text)
    rows: list[Mapping[str, Json]] = []
    for value in found.values:
        for item in as_list(value) or (value,):
            if isinstance(item, Mapping):
                inner = next((as_list(item[key]) for key in wrappers if key in item), (item,))
                rows.extend(row for row in inner if isinstance(row, Mapping))
    return tuple(rows), found


def as_list(value: Json) -> Sequence[Json]:
    """The value where it is a list, else an empty one."""
    return value if isinstance(value, list) else ()


def as_object(value: Json) -> Mapping[str, Json]:
    """The value where it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def _end(text: str, start: int) -> int | None:
    """Where the bracket at `start` is closed, strings skipped; None when it is not, or when brackets do not match."""
    open_: list[str] = []
    for token in _STRING_OR_BRACKET.finditer(text, start):
        char = token.group()
        if char in _CLOSING:
            open_.append(_CLOSING[char])
            if len(open_) > MAX_DEPTH:
                return None
        elif char in "]}":
            if open_.pop() != char:
                return None
            if not open_:
                return token.end()
    return None


def _decode(text: str, start: int) -> tuple[Json, int | None]:
    """The document at `start` (None: there is none; a list or object never is) and where it ends (None: nowhere)."""
    try:
        decoded: tuple[Json, int] = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        end = _end(text, start)
    else:
        return decoded
    if end is None:
        return None, None
    try:
        value: Json = _DECODER.decode(_TRAILING_COMMA.sub("", text[start:end]))
    except (ValueError, RecursionError):
        return None, end
    return value, end
