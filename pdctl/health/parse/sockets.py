"""iproute2's `ss -ltn`, with or without its heading (-H) and processes (-p): ports that something listens on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pdctl.health.parse.text_values import nothing_in
from pdctl.model.reading import Known, Reading, Unknown

SOURCE: Final = "ss -ltn"
_ROW: Final = re.compile(r"LISTEN\s+\d+\s+\d+\s+(\S+):(\d{1,5})\s+\S+:\S+(?:\s+(.*))?")
_USER: Final = re.compile(r'\("([^"]*)",pid=(\d{1,10}),')


@dataclass(frozen=True, slots=True)
class Listener:
    """One listening TCP socket. `address` "0.0.0.0", "*" or "[::]" is all of them; `processes` as (name, pid)."""

    address: str
    port: int
    processes: tuple[tuple[str, int], ...] = ()

    @property
    def wildcard(self) -> bool:
        """Whether it holds the port on every address."""
        return self.address in ("0.0.0.0", "*", "[::]", "::")

    def holds(self, address: str, port: int) -> bool:
        """Whether a bind of that address and port would fail because of it."""
        return self.port == port and (self.wildcard or address in ("0.0.0.0", "::") or self.address == address)


def listeners(text: str) -> Reading[tuple[Listener, ...]]:
    """Every listener. Over SSH there is always one (the login came through it): none at all is unknown.

    A last line that is cut off makes it unknown: a missing listener would pass for a free port.
    """
    found: list[Listener] = []
    for line in text.splitlines():
        row = _ROW.fullmatch(line.strip())
        if row is not None and int(row.group(2)) < 65536:
            users = tuple((name, int(pid)) for name, pid in _USER.findall(row.group(3) or ""))
            found.append(Listener(row.group(1).split("%")[0], int(row.group(2)), users))
        elif line.strip() and not line.startswith(("State", "Netid")):
            return Unknown(f"a line that is no socket: {line.strip()[:60]!r}", SOURCE)
    if not found:
        return nothing_in(text, SOURCE)
    if not text.endswith("\n"):
        return Unknown("its last line is cut off", SOURCE)
    return Known(tuple(found), SOURCE)
