"""coreutils' `df -B1`, with or without -P: room on file systems, in bytes. Long devices may wrap a line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pdctl.health.parse.text_values import nothing_in
from pdctl.model.reading import Known, Reading, Unknown

SOURCE: Final = "df"
_ROW: Final = re.compile(r"(\S.*?)\s+(\d{1,20})\s+(\d{1,20})\s+(\d{1,20})\s+(\d{1,3}%|-)\s+(/.*)")


@dataclass(frozen=True, slots=True)
class FileSystem:
    """One mounted file system. `used + available` is less than `size` where blocks are reserved for root."""

    device: str
    size_bytes: int
    used_bytes: int
    available_bytes: int
    mount: str

    @property
    def free_fraction(self) -> float:
        """What is left for ordinary users, of what they could have: as df's own percentage. 1 where it has no size."""
        usable = self.used_bytes + self.available_bytes
        return self.available_bytes / usable if usable else 1.0


def df(text: str) -> Reading[tuple[FileSystem, ...]]:
    """Every row. Unknown where the heading does not count in bytes (without -B1 it would be 1024 times too little)."""
    if not re.search(r"^Filesystem\s+(1B?-blocks|1-blocks)\s", text, re.MULTILINE):
        return (
            Unknown("its heading does not count in bytes", SOURCE) if "Filesystem" in text else nothing_in(text, SOURCE)
        )
    joined = re.sub(r"^(\S+)\n(?=\s+\d)", r"\1", text, flags=re.MULTILINE)
    rows = [match for line in joined.splitlines() if (match := _ROW.fullmatch(line.rstrip()))]
    found = tuple(FileSystem(row[1], int(row[2]), int(row[3]), int(row[4]), row[6]) for row in rows)
    return Known(found, SOURCE) if found else Unknown("it lists no file system", SOURCE)
