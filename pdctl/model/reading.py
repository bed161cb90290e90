"""One thing that was read somewhere: known, or unknown with the reason. "N/A" is never 0, and never good or bad."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Known(Generic[T]):
    """A value and where it was read: "sysfs mem_info_vram_total", "amd-smi metric --json"."""

    value: T
    source: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Why a value is not known, in words for the operator, and where it was looked for."""

    reason: str
    source: str = ""


Reading: TypeAlias = Known[T] | Unknown


def value_or(reading: Reading[T], default: T) -> T:
    """The value where it is known. A default must never be what lets a verdict pass."""
    return reading.value if isinstance(reading, Known) else default
