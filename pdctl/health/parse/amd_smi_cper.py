"""`amd-smi ras --cper`: the hardware errors that a GPU has on record, and AFID (AMD field identifier) tables.

Headers as JSON under their number ("0": {"error_severity": "non_fatal_corrected", …}) in ROCm 6.4; since 7.0 a table
"timestamp gpu_id severity file_name", whose header alone says that there are none. No output at all says nothing, nor
does an empty list, which is what tools print that could not read anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pdctl.health.parse.fields import Field
from pdctl.health.parse.json_documents import as_object, documents
from pdctl.model.reading import Known, Reading, Unknown

SOURCE = "amd-smi ras --cper"
_HEADER = re.compile(r"^\s*timestamp\s+gpu_id\s+severity|^\s*No CPER (?:files|entries|records) found", re.MULTILINE)
_ROW = re.compile(r"^\s*(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d)\s+(\d+)\s+([\w-]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Cper:
    """One record. `severity`: "fatal", "non_fatal_uncorrected", "non_fatal_corrected" or what else is written."""

    severity: str
    timestamp: str  # of the node's clock, "2025/04/08 18:23:44"
    gpu: int | None

    @property
    def fatal(self) -> bool:
        """Not corrected, and work was lost; "BOOT" is a fatal error of the last boot."""
        return self.severity.lower() in {"fatal", "boot"}


def parse_cper(text: str) -> Reading[tuple[Cper, ...]]:
    """Every record that is shown; () only where the output says that there is none."""
    found = documents(text)
    records = [
        Field(record, SOURCE, name)
        for value in found.values
        for name, record in (
            ("", as_object(value)),
            *((str(key), as_object(inner)) for key, inner in as_object(value).items()),
        )
        if "error_severity" in record
    ]
    lines = text[: text.rfind("\n") + 1]  # half a row has half a severity
    shown = [_record(record) for record in records]
    shown += [Cper(severity, timestamp, int(gpu)) for timestamp, gpu, severity in _ROW.findall(lines)]
    cut = found.damaged or (not found.values and lines != text)
    if cut and not any(record.fatal for record in shown):
        return Unknown(f"{SOURCE} is cut off or damaged", SOURCE)
    empty = _HEADER.search(lines) is not None
    return Known(tuple(shown), SOURCE) if shown or empty else Unknown(f"{SOURCE}: {found.why_empty}", SOURCE)


def _record(record: Field) -> Cper:
    severity, timestamp = record["error_severity"].text(), record["timestamp"].text()
    return Cper(
        severity.value if isinstance(severity, Known) else "unknown",
        timestamp.value if isinstance(timestamp, Known) else "",
        None,
    )


def parse_afid_actions(text: str) -> Mapping[str, int]:
    """The service action number of each AFID in a service guide ({"9001": {"service_action_num": 99}})."""
    found: dict[str, int] = {}
    for value in documents(text).values:
        for name, entry in Field(value, "AFID service guide").items():
            number = entry["service_action_num"].count()
            if isinstance(number, Known):
                found[name] = number.value
    return found
