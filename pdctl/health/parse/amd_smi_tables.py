"""The tables that amd-smi prints as text: a title in capitals, a header of device names, a row per device."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pdctl.health.parse.pci_address import pci_address

_TITLE = re.compile(r"\s*([A-Z][A-Z_ ]+[A-Z]):\s*\Z")
_GPU = re.compile(r"GPU(\d+)\Z")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: its device, by address where it has one, and the cells after it."""

    address: str
    gpu: int | None
    cells: tuple[str, ...]


def tables(text: str) -> Mapping[str, tuple[tuple[str, ...], tuple[Row, ...]]]:
    """By title: the header's cells, and the rows. A last line without its end is dropped: it may be half a row."""
    lines = text.splitlines()
    if lines and not text.endswith("\n"):
        lines.pop()
    found: dict[str, tuple[tuple[str, ...], tuple[Row, ...]]] = {}
    title = ""
    for line in lines:
        if match := _TITLE.match(line):
            title = match[1]
            found[title] = ((), ())
        elif title and line.split():
            header, rows = found[title]
            row = _row(line.split())
            if row is not None and header:
                found[title] = (header, (*rows, row))
            elif not header:
                found[title] = (tuple(line.split()), rows)
    return found


def _row(cells: list[str]) -> Row | None:
    gpu = _GPU.match(cells[0])
    rest = cells[1:] if gpu else cells
    address = pci_address(rest[0]) if rest else None
    if address is None:
        return None
    return Row(address, int(gpu[1]) if gpu else None, tuple(rest[1:]))
