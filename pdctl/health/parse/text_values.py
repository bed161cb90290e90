"""A word of a tool's output as a Reading: what it says, or why that is no value. "N/A" is never 0."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from pdctl.model.reading import Known, Reading, Unknown

T = TypeVar("T")

NO_VALUE: Final = frozenset(
    {
        "", "-", "--", "n/a", "na", "none", "null", "nan", "unknown", "unknown!", "invalid", "not available",
        "not supported", "not reported", "not applicable", "n/a (no pma)", "?",
    }
)  # fmt: skip
"""What tools print where they have no value. "N/A (no PMA)": RDMA counters of an Omni-Path port."""

_INTEGER: Final = re.compile(r"[+-]?\d{1,25}|0[xX][0-9a-fA-F]{1,25}")
_NUMBER: Final = re.compile(r"[+-]?\d{1,25}(?:\.\d{1,25})?(?:[eE][+-]?\d{1,2})?")


@dataclass(frozen=True, slots=True)
class ColonLine:
    """One `key: value` line: how far it is indented (a tab counts to the next 8), key and value without blanks."""

    indent: int
    key: str
    value: str


def colon_lines(text: str) -> Iterator[ColonLine]:
    """Every line that has a colon, split at the first one; other lines are skipped."""
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon and key.strip():
            shown = line.expandtabs(8)
            yield ColonLine(len(shown) - len(shown.lstrip()), key.strip(), value.strip())


def under(pairs: Mapping[str, object], key: str, source: str, of: Callable[[object, str], Reading[T]]) -> Reading[T]:
    """What stands under `key`, read with `of`; unknown where the key is missing."""
    return of(pairs[key], source) if key in pairs else missing(key, source)


def missing(what: str, source: str) -> Unknown:
    """The reading of what is not there."""
    return Unknown(f"{what} is not in the output", source)


def text_of(raw: object, source: str) -> Reading[str]:
    """Text without surrounding blanks. A number of JSON becomes its text; other types are no text."""
    if raw is None:
        return Unknown("no value", source)
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        return Unknown(f"{_shown(raw)} where text belongs", source)
    text = str(raw).strip()
    return Unknown(f"it says {text!r}", source) if text.lower() in NO_VALUE else Known(text, source)


def integer_of(raw: object, source: str, *, least: int | None = None) -> Reading[int]:
    """A whole number, decimal or 0x…; `least` is the smallest that makes sense. True is no number, nor is 3.5."""
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        return Unknown("no value" if raw is None else f"{_shown(raw)} where a number belongs", source)
    if isinstance(raw, float):
        if not raw.is_integer():
            return Unknown(f"{raw!r} where a whole number belongs", source)
        value = int(raw)
    elif isinstance(raw, int):
        value = raw
    else:
        word = raw.strip()
        if word.lower() in NO_VALUE:
            return Unknown(f"it says {word!r}", source)
        if not _INTEGER.fullmatch(word):
            return Unknown(f"{_shown(word)} is no whole number", source)
        value = int(word, 16 if word[:2].lower() == "0x" else 10)
    if least is not None and value < least:
        return Unknown(f"{value} makes no sense here", source)
    return Known(value, source)


def count_of(raw: object, source: str) -> Reading[int]:
    """A counter or a size: a whole number that is not negative."""
    return integer_of(raw, source, least=0)


def number_of(raw: object, source: str) -> Reading[float]:
    """A number with or without a fraction. NaN and infinity are none."""
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        return Unknown("no value" if raw is None else f"{_shown(raw)} where a number belongs", source)
    word = str(raw).strip()
    if word.lower() in NO_VALUE:
        return Unknown(f"it says {word!r}", source)
    if not _NUMBER.fullmatch(word):
        return Unknown(f"{_shown(word)} is no number", source)
    return Known(float(word), source)


def choice_of(raw: object, source: str, words: dict[str, str]) -> Reading[str]:
    """One of a tool's known words, case aside, by the name that `words` gives it; another word is unknown."""
    read = text_of(raw, source)
    if isinstance(read, Unknown):
        return read
    meaning = words.get(read.value.lower())
    return Unknown(f"{_shown(read.value)} is none of its words", source) if meaning is None else Known(meaning, source)


def nothing_in(text: str, source: str) -> Unknown:
    """The reading of an output that holds nothing we look for: with its first line, where tools say why."""
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return Unknown(f"it says {first[:80]!r}" if first else "no output", source)


def _shown(raw: object) -> str:
    text = repr(raw)
    return text if len(text) <= 60 else f"{text[:57]}..."
