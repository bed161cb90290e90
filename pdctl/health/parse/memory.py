"""The host's memory: /proc/meminfo, `free -b`, `lsmem`, and by NUMA node in `numactl -H`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pdctl.health.parse.text_values import count_of, missing, nothing_in
from pdctl.model.reading import Known, Reading, Unknown

_MEMINFO: Final = re.compile(r"^(\w+(?:\(\w+\))?):\s+(\d{1,20}) kB\s*$", re.MULTILINE)
_UNITS: Final = {"B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50}
_CPUS: Final = re.compile(r"^node (\d{1,4}) cpus:((?: \d{1,5})*)\s*$", re.MULTILINE)
_DISTANCE: Final = re.compile(r"^\s+(\d{1,4}):((?:\s+\d{1,3})+)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Memory:
    """RAM in bytes. `available`: what can be had without swapping."""

    total_bytes: Reading[int]
    available_bytes: Reading[int]


@dataclass(frozen=True, slots=True)
class NumaNode:
    """One NUMA node. Sizes in bytes; unknown where numactl prints no line for them."""

    number: int
    cpus: tuple[int, ...]
    size_bytes: Reading[int]
    free_bytes: Reading[int]


@dataclass(frozen=True, slots=True)
class Numa:
    """All NUMA nodes with their distances (10: itself), row by row; unknown where the table is not whole."""

    nodes: tuple[NumaNode, ...]
    distances: Reading[tuple[tuple[int, ...], ...]]


def meminfo(text: str) -> Memory:
    """/proc/meminfo."""
    source = "/proc/meminfo"
    kilobytes = dict(_MEMINFO.findall(text))

    def size(key: str) -> Reading[int]:
        return Known(int(kilobytes[key]) << 10, source) if key in kilobytes else missing(key, source)

    return Memory(size("MemTotal"), size("MemAvailable"))


def free_bytes(text: str) -> Reading[Memory]:
    """`free -b`. Old releases have no `available` column: unknown then."""
    source = "free -b"
    lines = text.splitlines()
    head = next((line.split() for line in lines if "total" in line.split()), None)
    row = next((line.split()[1:] for line in lines if line.startswith("Mem:")), None)
    if head is None or row is None:
        return nothing_in(text, source)
    cells = dict(zip(head, row, strict=False))

    def size(key: str) -> Reading[int]:
        return count_of(cells[key], source) if key in cells else missing(key, source)

    return Known(Memory(size("total"), size("available")), source)


def lsmem(text: str) -> Reading[tuple[Reading[int], Reading[int]]]:
    """(online bytes, offline bytes) of `lsmem`. Memory that is offline is a fault or a forgotten hotplug."""
    source = "lsmem"
    online = re.search(r"^Total online memory:\s*(\S+)\s*$", text, re.MULTILINE)
    offline = re.search(r"^Total offline memory:\s*(\S+)\s*$", text, re.MULTILINE)
    if online is None and offline is None:
        return nothing_in(text, source)
    return Known((_size(online, source), _size(offline, source)), source)


def numactl(text: str) -> Reading[Numa]:
    """`numactl -H`. Unknown where it announces more nodes than it lists."""
    source = "numactl -H"
    announced = re.search(r"^available: (\d{1,4}) nodes", text, re.MULTILINE)
    if announced is None:
        return nothing_in(text, source)
    nodes = tuple(
        NumaNode(
            number=int(number),
            cpus=tuple(int(cpu) for cpu in cpus.split()),
            size_bytes=_megabytes(text, number, "size", source),
            free_bytes=_megabytes(text, number, "free", source),
        )
        for number, cpus in _CPUS.findall(text)
    )
    if len(nodes) != int(announced.group(1)):
        return Unknown(f"it announces {announced.group(1)} nodes and lists {len(nodes)}", source)
    return Known(Numa(nodes, _distances(text, len(nodes), source)), source)


def _megabytes(text: str, number: str, what: str, source: str) -> Reading[int]:
    match = re.search(rf"^node {number} {what}: (\d{{1,12}}) MB\s*$", text, re.MULTILINE)
    return missing(f"node {number} {what}", source) if match is None else Known(int(match.group(1)) << 20, source)


def _distances(text: str, count: int, source: str) -> Reading[tuple[tuple[int, ...], ...]]:
    rows = [tuple(int(word) for word in row.split()) for _, row in _DISTANCE.findall(text)]
    if len(rows) != count or any(len(row) != count for row in rows):
        return Unknown("its table of distances is not whole", source)
    return Known(tuple(rows), source)


def _size(match: re.Match[str] | None, source: str) -> Reading[int]:
    """Bytes of "254G", "0B", "1.5T" (lsmem rounds to one digit)."""
    if match is None:
        return missing("a total", source)
    parts = re.fullmatch(r"(\d{1,8}(?:\.\d{1,3})?)([BKMGTP])", match.group(1))
    if parts is None:
        return Unknown(f"{match.group(1)[:20]!r} is no size", source)
    return Known(round(float(parts.group(1)) * _UNITS[parts.group(2)]), source)
