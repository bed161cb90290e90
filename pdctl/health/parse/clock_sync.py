"""Whether the node's clock is kept: `chronyc -n tracking` and `timedatectl show` (or its status page)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pdctl.health.parse.text_values import choice_of, colon_lines, missing, nothing_in
from pdctl.model.reading import Known, Reading, Unknown

_OFFSET: Final = re.compile(r"(\d{1,10}\.\d{1,12}) seconds (slow|fast) of NTP time")
_YES_NO: Final = {"yes": "yes", "no": "no"}


@dataclass(frozen=True, slots=True)
class ClockSync:
    """`offset_s`: the clock's own idea of how far it is from its source, positive: it is ahead."""

    synchronized: Reading[bool]
    offset_s: Reading[float]


def chronyc(text: str) -> Reading[ClockSync]:
    """`chronyc tracking`. "Leap status: Normal" means that it follows a source."""
    source = "chronyc tracking"
    pairs = {line.key: line.value for line in colon_lines(text)}
    if "Leap status" not in pairs and "System time" not in pairs:
        return nothing_in(text, source)
    leap = pairs.get("Leap status", "").lower()
    synchronized: Reading[bool]
    match leap:
        case "normal" | "insert second" | "delete second":
            synchronized = Known(True, source)
        case "not synchronised" | "not synchronized":
            synchronized = Known(False, source)
        case _:
            synchronized = Unknown(f"leap status {leap[:40]!r}", source)
    offset = _OFFSET.fullmatch(pairs.get("System time", ""))
    if offset is None:
        return Known(ClockSync(synchronized, missing("System time", source)), source)
    seconds = float(offset.group(1)) * (1 if offset.group(2) == "fast" else -1)
    return Known(ClockSync(synchronized, Known(seconds, source)), source)


def timedatectl(text: str) -> Reading[ClockSync]:
    """`timedatectl show` (`NTPSynchronized=yes`) and `timedatectl` (`System clock synchronized: yes`)."""
    source = "timedatectl"
    shown = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    page = {line.key.lower(): line.value for line in colon_lines(text)}
    for pairs, key in ((shown, "NTPSynchronized"), (page, "system clock synchronized"), (page, "ntp synchronized")):
        if key in pairs:
            said = choice_of(pairs[key], source, _YES_NO)
            synchronized = said if isinstance(said, Unknown) else Known(said.value == "yes", source)
            return Known(ClockSync(synchronized, Unknown("timedatectl tells no offset", source)), source)
    return nothing_in(text, source)
