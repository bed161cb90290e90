"""One place in a tool's output, read with care: a value that is known with its source, or unknown with the reason.

Tools write "not known" in many ways ("N/A", "Not supported", a missing key, all bits set), numbers as strings, and
quantities as `{"value": 32, "unit": "GT/s"}`, "32 GT/s" or 32. None of them may turn into a zero.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pdctl.health.parse.json_documents import Json, as_list, as_object
from pdctl.model.reading import Known, Reading, Unknown

NOT_KNOWN: Final = frozenset({"", "n/a", "na", "none", "null", "nan", "unknown", "not supported", "unsupported", "-"})
"""What tools write for "not known", lower case: "N/A" everywhere, rocm-smi also "Not supported" and "UNKNOWN"."""

_ALL_BITS: Final = frozenset({2**16 - 1, 2**32 - 1, 2**64 - 1})  # libraries fill fields that they cannot read with ones
_NUMBER = re.compile(r"\s*([-+]?\d+(?:\.\d+)?)\s*([^\d\s].*?)?\s*\Z", re.DOTALL)

# Multiples of the unit that pdctl reckons in. amd-smi's MB is 2**20 (amdsmi_commands.py divides by 1024 * 1024).
BYTES: Final = {
    "b": 1.0,
    **dict.fromkeys(("kb", "kib"), 2.0**10),
    **dict.fromkeys(("mb", "mib"), 2.0**20),
    **dict.fromkeys(("gb", "gib"), 2.0**30),
    **dict.fromkeys(("tb", "tib"), 2.0**40),
}
CELSIUS: Final = {"c": 1.0, "°c": 1.0, "degc": 1.0}
WATTS: Final = {"w": 1.0, "mw": 1e-3, "uw": 1e-6}
GT_PER_S: Final = {"gt/s": 1.0, "gt/s pcie": 1.0, "mt/s": 1e-3}
GBIT_PER_S: Final = {"gb/s": 1.0, "mb/s": 1e-3}
PERCENT: Final = {"%": 1.0}


@dataclass(frozen=True, slots=True)
class Field:
    """A value somewhere in `source`'s output; `path` names it in reasons ("gpu 3 ecc total_deferred_count").

    `missing` says that there is none here, for which reason.
    """

    value: Json
    source: str
    path: str = ""
    missing: str = ""

    def __getitem__(self, key: str) -> Field:
        """The field below; one that is missing where there is none. Never raises."""
        return self.any_of(key)

    def any_of(self, *keys: str) -> Field:
        """The field under the first of several names that is there: what one version calls so, and another so."""
        if isinstance(self.value, dict) and not self.missing:
            for key in keys:
                if key in self.value:
                    return Field(self.value[key], self.source, f"{self.path} {key}" if self.path else key)
        path = f"{self.path} {keys[0]}".strip()
        if self.missing:
            return Field(None, self.source, path, self.missing)
        if isinstance(self.value, str) and self.value.strip().lower() in NOT_KNOWN:
            return Field(None, self.source, path, f"{self.source} says {self.path} is {self.value!r}")
        return Field(None, self.source, path, f"{self.source} shows no {path}")

    def items(self) -> tuple[tuple[str, Field], ...]:
        """The names and fields below, where this is an object."""
        inside = as_object(self.value)
        return tuple(
            (str(key), Field(value, self.source, f"{self.path} {key}".strip())) for key, value in inside.items()
        )

    def elements(self) -> tuple[Field, ...]:
        """The elements, where this is a list."""
        inside = enumerate(as_list(self.value))
        return tuple(Field(value, self.source, f"{self.path} [{position}]".strip()) for position, value in inside)

    def unknown(self, reason: str = "") -> Unknown:
        """An Unknown about this field."""
        shown = repr(self.value)
        said = shown if len(shown) <= 60 else f"{shown[:57]}..."
        return Unknown(reason or self.missing or f"{self.source} says {self.path} is {said}", self.source)

    def text(self) -> Reading[str]:
        """A word: a string that is not one of those for "not known", or a number as it is written."""
        if isinstance(self.value, str) and self.value.strip().lower() not in NOT_KNOWN:
            return Known(self.value.strip(), self.source)
        if isinstance(self.value, int | float) and not isinstance(self.value, bool):
            return Known(str(self.value), self.source)
        return self.unknown()

    def flag(self) -> Reading[bool]:
        """Yes or no, as JSON's true and false or as Python and people write them."""
        word = str(self.value).strip().lower() if isinstance(self.value, bool | str) else ""
        if word in {"true", "yes", "enabled"}:
            return Known(True, self.source)
        return Known(False, self.source) if word in {"false", "no", "disabled"} else self.unknown()

    def count(self) -> Reading[int]:
        """A count: a whole number from 0 on, as a number or as its digits; {"value": n} too."""
        value = self.value["value"] if isinstance(self.value, dict) and "value" in self.value else self.value
        if isinstance(value, str) and (digits := value.strip()).isdigit() and digits.isascii() and len(digits) <= 20:
            value = int(digits)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0 or value in _ALL_BITS:
            return self.unknown()
        return Known(value, self.source)

    def quantity(
        self, units: Mapping[str, float], *, bare: str = "", least: float = 0, most: float = math.inf
    ) -> Reading[float]:
        """A number in the unit that `units` gives multiples of.

        Args:
            units: lower-case unit -> multiple.
            bare: the unit of a number that comes without one; "" refuses it.
            least, most: what lies outside is no measurement.
        """
        inner = as_object(self.value)
        value: Json = inner.get("value") if "value" in inner else self.value
        unit = inner.get("unit")
        if isinstance(value, str) and (match := _NUMBER.match(value)):
            value, unit = float(match[1]), match[2] or unit
        if isinstance(value, bool) or not isinstance(value, int | float) or value in _ALL_BITS:
            return self.unknown()
        factor = units.get(unit.strip().lower() if isinstance(unit, str) and unit.strip() else bare)
        if factor is None or not math.isfinite(value) or not least <= value * factor <= most:
            return self.unknown()
        return Known(value * factor, self.source)

    def size_bytes(self, *, bare: str = "") -> Reading[int]:
        """A size in bytes."""
        size = self.quantity(BYTES, bare=bare)
        return size if isinstance(size, Unknown) else Known(round(size.value), self.source)

    def celsius(self) -> Reading[float]:
        """A temperature; 0 is what firmware shows for a sensor that is not there."""
        return self.quantity(CELSIUS, bare="c", least=0.1, most=200)

    def watts(self) -> Reading[float]:
        """A power."""
        return self.quantity(WATTS, bare="w", most=10_000)

    def gt_per_s(self) -> Reading[float]:
        """A link's speed; 0 is no link."""
        return self.quantity(GT_PER_S, bare="gt/s", least=0.1, most=1000)
