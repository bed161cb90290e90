"""NVIDIA's `mst status -v`: which PCI address is which RDMA device and network device, on which NUMA node."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pdctl.health.parse.text_values import count_of, nothing_in, text_of
from pdctl.model.reading import Known, Reading

SOURCE: Final = "mst status -v"
_ROW: Final = re.compile(
    r"(\S+)\(rev:(\w+)\)\s+(\S+)\s+([0-9a-fA-F]{4}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]|[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7])"
    r"\s+(\S+)?\s+(?:net-)?(\S+)?\s+(-?\d{1,3})\s*"
)


@dataclass(frozen=True, slots=True)
class MstDevice:
    """One adapter function. `bdf` with its domain."""

    type: str
    bdf: str
    device: Reading[str]
    netdev: Reading[str]
    numa: Reading[int]


def mst_status(text: str) -> Reading[tuple[MstDevice, ...]]:
    """Every row of "PCI devices"."""
    found = []
    for line in text.splitlines():
        if match := _ROW.fullmatch(line.strip()):
            bdf = match.group(4).lower()
            found.append(
                MstDevice(
                    type=match.group(1),
                    bdf=bdf if bdf.count(":") == 2 else f"0000:{bdf}",
                    device=text_of(match.group(5), SOURCE),
                    netdev=text_of(match.group(6), SOURCE),
                    numa=count_of(match.group(7), SOURCE),
                )
            )
    return Known(tuple(found), SOURCE) if found else nothing_in(text, SOURCE)
