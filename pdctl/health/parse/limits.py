"""Resource limits: /proc/<pid>/limits, and `ulimit -a`. Unlimited is `UNLIMITED`, not a number that is merely large."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from pdctl.health.parse.text_values import nothing_in
from pdctl.model.reading import Known, Reading, Unknown

UNLIMITED: Final = 1 << 63
_PROC: Final = re.compile(r"^(Max [a-z ]+?)\s{2,}(unlimited|\d{1,20})\s+(unlimited|\d{1,20})\s*(\S*)\s*$", re.MULTILINE)
_ULIMIT: Final = re.compile(r"^([a-z ]+?)\s+\((?:([a-z0-9-]+), )?-(\w)\)\s+(unlimited|\d{1,20})\s*$", re.MULTILINE)
_KILO: Final = {"kbytes": 1 << 10, "512 bytes": 512, "bytes": 1}


def proc_limits(text: str) -> Reading[Mapping[str, tuple[int, int]]]:
    """(soft, hard) by name ("Max locked memory", "Max open files"), in the file's units: bytes, files, …"""
    source = "/proc/self/limits"
    found = {row[0]: (_value(row[1]), _value(row[2])) for row in _PROC.findall(text)}
    return Known(found, source) if found else nothing_in(text, source)


def ulimit(text: str) -> Reading[Mapping[str, int]]:
    """Soft limits of `ulimit -a` by letter ("l": locked memory in bytes, "n": open files)."""
    source = "ulimit -a"
    found = {letter: _scaled(value, unit) for _, unit, letter, value in _ULIMIT.findall(text)}
    return Known(found, source) if found else nothing_in(text, source)


def soft_limit(limits: Reading[Mapping[str, tuple[int, int]]], name: str) -> Reading[int]:
    """The soft limit of that name."""
    if isinstance(limits, Unknown):
        return limits
    found = limits.value.get(name)
    return Unknown(f"{name} is not listed", limits.source) if found is None else Known(found[0], limits.source)


def _value(word: str) -> int:
    return UNLIMITED if word == "unlimited" else int(word)


def _scaled(word: str, unit: str) -> int:
    value = _value(word)
    return value if value == UNLIMITED else value * _KILO.get(unit, 1)
